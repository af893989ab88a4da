import { describe, expect, it } from 'vitest';
import { FETCH_LIMITS } from '../../../src/boot-sessions/boot-session.ts';
import type { BootRequest } from '../../../src/boot-sessions/boot-resource.ts';
import { aMac, anImage } from '../../support/domain-builders.ts';
import { aProfile, aServiceWorld } from '../../support/service-world.ts';

async function aBoot(options: Parameters<typeof aServiceWorld>[0] = { unknownMachines: 'enroll' }) {
  const world = aServiceWorld(options);
  world.images.put(anImage());
  const machine = await world.machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
  if (machine === undefined) throw new Error('no machine');
  const asked = { mac: aMac(), architecture: 'x64-uefi', serverAddress: '192.0.2.1' };
  const { session, tokens } = await world.sessions.open(machine, asked);
  const get = (token: string, name: string, method: BootRequest['method'] = 'GET') =>
    world.boot.resource({ token, name, method, peerAddress: '192.0.2.9' });
  return { ...world, machine, asked, session, tokens, get };
}

describe('the boot script', () => {
  it('carries the artifacts token and the seed token on the command line, never the script token', async () => {
    const { get, tokens } = await aBoot();
    const script = await get(tokens.script, 'boot.ipxe');
    if (script.kind !== 'text') throw new Error(script.kind);
    const kernelLine = script.body.split('\n').find((line) => line.startsWith('kernel')) ?? '';
    expect(kernelLine).toContain(`root=live:http://192.0.2.1:8080/boot/${tokens.artifacts}/rootfs.squashfs`);
    expect(kernelLine).toContain(`ds=nocloud;dsmode=net;s=http://192.0.2.1:8080/boot/${tokens.seed}/seed/`);
    expect(kernelLine).not.toContain(tokens.script);
    expect(script.body).toContain(
      `initrd --name token.cpio.gz http://192.0.2.1:8080/boot/${tokens.script}/token.cpio.gz`,
    );
  });

  it('asks a discovered machine to wait, keeps its session alive, and boots it once it is approved', async () => {
    const { get, tokens, clock, machines, machine } = await aBoot({});
    for (let round = 0; round < 20; round += 1) {
      const script = await get(tokens.script, 'boot.ipxe');
      expect(script).toMatchObject({ kind: 'text', body: expect.stringContaining('waits for approval') });
      clock.time += 10 * 60_000;
    }
    expect(await get(tokens.script, 'token.cpio.gz')).toMatchObject({ kind: 'refused', status: 403 });
    await machines.approve(machine.id, 'admin');
    expect(await get(tokens.script, 'boot.ipxe')).toMatchObject({ body: expect.stringContaining('kernel') });
  });

  it('sends an active machine of a local-disk profile to its disk (boot once)', async () => {
    const world = await aBoot({
      unknownMachines: 'enroll',
      profiles: [aProfile({ boot: { image: 'debian-12', whenActive: 'local-disk' } })],
    });
    expect(await world.get(world.tokens.script, 'boot.ipxe')).toMatchObject({
      body: expect.stringContaining('kernel'),
    });
    const machine = await world.machines.get(world.machine.id);
    await world.stores.machines.save({ ...machine, state: 'active' });
    const next = await world.sessions.open(machine, world.asked);
    expect(next.session.id).not.toBe(world.session.id);
    expect(await world.get(next.tokens.script, 'boot.ipxe')).toMatchObject({
      body: expect.stringContaining('sanboot'),
    });
  });
});

describe('path tokens', () => {
  it('open what they are for and nothing else', async () => {
    const { get, tokens } = await aBoot();
    await get(tokens.script, 'boot.ipxe');
    expect(await get(tokens.script, 'ipxe.efi')).toMatchObject({ kind: 'blob', contentType: 'application/efi' });
    expect(await get(tokens.artifacts, 'vmlinuz')).toMatchObject({ kind: 'blob', digest: anImage().kernel.digest });
    expect(await get(tokens.seed, 'seed/vendor-data')).toMatchObject({ kind: 'text', body: '' });
    for (const [token, name] of [
      [tokens.artifacts, 'token.cpio.gz'],
      [tokens.artifacts, 'boot.ipxe'],
      [tokens.artifacts, 'seed/user-data'],
      [tokens.seed, 'rootfs.squashfs'],
      [tokens.seed, 'token.cpio.gz'],
      [tokens.script, 'rootfs.squashfs'],
      [tokens.script, '../muster.db'],
      ['A'.repeat(22), 'boot.ipxe'],
      ['', 'boot.ipxe'],
    ] as const)
      expect(await get(token, name), name).toMatchObject({ kind: 'refused', status: 404 });
  });

  it('end with their session', async () => {
    const { get, tokens, clock } = await aBoot();
    clock.time += 31 * 60_000;
    expect(await get(tokens.script, 'boot.ipxe')).toMatchObject({ kind: 'refused', status: 410 });
  });

  it('hand out the enrollment token a few times only, and HEAD mints none', async () => {
    const { get, tokens, minted } = await aBoot();
    await get(tokens.script, 'boot.ipxe');
    await get(tokens.script, 'token.cpio.gz', 'HEAD');
    expect(minted).toEqual([]);
    for (let count = 0; count < FETCH_LIMITS['boot-token']; count += 1)
      expect(await get(tokens.script, 'token.cpio.gz')).toMatchObject({ kind: 'bytes' });
    expect(await get(tokens.script, 'token.cpio.gz')).toMatchObject({ kind: 'refused', status: 429 });
    expect(minted).toHaveLength(FETCH_LIMITS['boot-token']);
  });

  it('give the seed files few times only', async () => {
    const { get, tokens } = await aBoot();
    for (let count = 0; count < FETCH_LIMITS.seed; count += 1)
      expect(await get(tokens.seed, 'seed/user-data')).toMatchObject({ kind: 'text' });
    expect(await get(tokens.seed, 'seed/user-data')).toMatchObject({ kind: 'refused', status: 429 });
  });

  it('never appear in an event', async () => {
    const { get, tokens, recorded } = await aBoot();
    for (const name of ['boot.ipxe', 'ipxe.efi', 'token.cpio.gz', 'nothing']) await get(tokens.script, name);
    await get(tokens.seed, 'seed/meta-data');
    const text = JSON.stringify(await recorded());
    for (const token of Object.values(tokens)) expect(text).not.toContain(token);
  });
});

describe('boot sessions', () => {
  it('are shared by the packets of one boot and new after the script was handed out', async () => {
    const { sessions, machine, asked, session, tokens, get } = await aBoot();
    expect((await sessions.open(machine, asked)).session.id).toBe(session.id);
    await get(tokens.script, 'boot.ipxe');
    const next = await sessions.open(machine, asked);
    expect(next.session.id).not.toBe(session.id);
    expect(next.tokens.script).not.toBe(tokens.script);
  });

  it('still open after a restart: only hashes are stored, the tokens come from the machine', async () => {
    const { stores, tokens, session } = await aBoot();
    expect(JSON.stringify(await stores.sessions.find(session.id))).not.toContain(tokens.script);
    const world = aServiceWorld();
    expect(world.sessions.tokensOf(tokens.script)).toEqual(tokens);
  });
});

describe('TFTP names', () => {
  it('lead to loaders, with or without a boot session before them, and nowhere else', async () => {
    const { boot, session } = await aBoot();
    expect(boot.loaderByTftpName(`${session.id}/ipxe.efi`)?.name).toBe('ipxe.efi');
    expect(boot.loaderByTftpName('ipxe.efi')?.name).toBe('ipxe.efi');
    for (const name of ['', '/', 'etc/passwd', '../../ipxe.efi/..', 'constructor', '__proto__'])
      expect(boot.loaderByTftpName(name)).toBeUndefined();
  });
});
