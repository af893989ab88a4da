import { describe, expect, it } from 'vitest';
import { readInterfaceMtu } from '../../../src/platform/interface-mtu.ts';

describe('readInterfaceMtu', () => {
  it.runIf(process.platform === 'linux')('knows that loopback takes long packets', async () => {
    expect(await readInterfaceMtu('lo')).toBeGreaterThan(1500);
  });

  it('takes Ethernet where there is no such interface', async () => {
    expect(await readInterfaceMtu('nonesuch0')).toBe(1500);
  });
});
