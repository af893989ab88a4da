// What an operator signs: which image machines may take, until when, and whether it may be an older one. Lines of ASCII in one
// order, for a POSIX shell reads them (boot-assets/agent). Pure.
import type { Digest } from '../images/digest.ts';
import type { Rollout, RolloutId } from './rollout.ts';

const TITLE = 'muster-rollout-v1';
/** A signature is good for so long after the rollout was made: long enough for a fleet that is offline over a holiday. */
const VALID_SECONDS = 90 * 24 * 3600;

interface DocumentFields {
  readonly rollout: RolloutId;
  readonly repository: string;
  readonly image: Digest;
  readonly boot: Digest;
  readonly version: string;
  readonly downgrade: 'yes' | 'no';
  /** Seconds since 1970. */
  readonly created: number;
  readonly expires: number;
}

/** The same rollout always gives the same bytes. */
export function renderRolloutDocument({ id, spec, createdAt }: Pick<Rollout, 'id' | 'spec' | 'createdAt'>): string {
  const created = Math.floor(createdAt / 1000);
  const fields: DocumentFields = {
    rollout: id,
    repository: spec.image.repository,
    image: spec.image.digest,
    boot: spec.image.bootDigest,
    version: spec.image.version ?? '-',
    downgrade: spec.allowDowngrade ? 'yes' : 'no',
    created,
    expires: created + VALID_SECONDS,
  };
  const lines = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
  return [TITLE, ...lines, ''].join('\n');
}
