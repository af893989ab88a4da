// SHA-256 behind the Sha256 port of src/clock.ts.
import { createHash } from 'node:crypto';
import type { Sha256 } from '../clock.ts';

export const sha256: Sha256 = (data) => createHash('sha256').update(data).digest('hex');
