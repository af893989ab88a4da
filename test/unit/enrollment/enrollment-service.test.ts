import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { JoseTokenSigner } from '../../../src/crypto/jose-token-signer.ts';
import type { EnrollmentRequest } from '../../../src/enrollment/enrollment-service.ts';
import type { EnrollmentClaims } from '../../../src/enrollment/enrollment-token.ts';
import { bootSessionMaker } from '../../../src/enrollment/token-maker.ts';
import { ERROR_CODES, type ErrorCode } from '../../../src/errors.ts';
import { aMac, aMachine, aMachineId, aSessionId, NOON } from '../../support/domain-builders.ts';
import { aRequest, EnrollmentWorld, SETTINGS } from '../../support/enrollment-world.ts';

const HOUR = 3_600_000;
const stranger = new JoseTokenSigner(generateKeyPairSync('ed25519').privateKey);
const CLAIMS: EnrollmentClaims = {
  jti: 'tok_nobodyknowsthis',
  iss: SETTINGS.issuer,
  aud: SETTINGS.audience,
  nbf: NOON / 1000,
  exp: NOON / 1000 + 900,
  uses: 1,
};

function withoutSignature(token: string): string {
  const [, payload = ''] = token.split('.');
  return `${Buffer.from('{"alg":"none","typ":"muster-enroll+jwt"}').toString('base64url')}.${payload}.`;
}

function withMoreUses(token: string): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  return [header, Buffer.from(JSON.stringify({ ...claims, uses: 99 })).toString('base64url'), signature].join('.');
}

describe('EnrollmentService.enroll', () => {
  it('gives an approved machine a certificate for a day, and puts everything on record together', async () => {
    const world = new EnrollmentWorld();
    const before = await world.insert(aMachine({ state: 'approved', labels: { rack: 'a1', role: 'none' } }));
    const { token, record } = await world.token({ mac: aMac(), profile: 'workers', labels: { role: 'worker' } });
    const outcome = await world.enroll(token, {
      facts: { vendor: 'QEMU' },
      candidate: { macs: [aMac()], uuid: 'u-1' },
    });
    expect(outcome).toMatchObject({
      kind: 'enrolled',
      machineId: before.id,
      replayed: false,
      certificate: { notBefore: NOON - 60_000, notAfter: NOON + 24 * HOUR },
    });
    const [machine] = await world.machines();
    expect(machine).toMatchObject({
      state: 'enrolled',
      stateReason: `enrolled with token ${record.id}`,
      labels: { rack: 'a1', role: 'worker' },
      profile: 'workers',
      uuid: 'u-1',
      facts: { vendor: 'QEMU' },
      address: '192.0.2.50',
      certificateSerial: outcome.kind === 'enrolled' ? outcome.certificate.serial : '',
    });
    expect((await world.service.findToken(record.id))?.uses).toBe(1);
    expect((await world.events()).map(({ kind }) => kind)).toEqual(['machine-state', 'enrolled']);
  });

  it('ties the events to machine, address and boot session', async () => {
    const world = new EnrollmentWorld();
    const { id: machineId } = await world.insert(aMachine({ state: 'approved' }));
    const { token, record } = await world.token({ mac: aMac(), by: bootSessionMaker(aSessionId('b-1')) });
    await world.enroll(token);
    const subject = { machineId, mac: aMac(), sessionId: 'b-1' };
    const events = await world.events();
    expect(events[0]).toMatchObject({
      kind: 'machine-state',
      ...subject,
      details: { from: 'approved', to: 'enrolled' },
    });
    expect(events[1]).toMatchObject({ kind: 'enrolled', ...subject, details: { tokenId: record.id } });
  });

  it('brings in a machine that was never seen, when a person made the token', async () => {
    const world = new EnrollmentWorld();
    const { token } = await world.token({ labels: { site: 'lab' } });
    const outcome = await world.enroll(token, {
      candidate: { macs: [aMac(7), aMac(8)] },
      facts: { architecture: 'x86_64' },
    });
    expect(outcome.kind).toBe('enrolled');
    expect(await world.machines()).toMatchObject([
      { state: 'enrolled', macs: [aMac(7), aMac(8)], labels: { site: 'lab' } },
    ]);
    expect((await world.events()).map((event) => [event.kind, event.details])).toMatchObject([
      ['machine-discovered', { architecture: 'x86_64' }],
      ['machine-state', { from: 'discovered', to: 'approved', by: 'admin' }],
      ['machine-state', { from: 'approved', to: 'enrolled' }],
      ['enrolled', {}],
    ]);
  });

  it('approves a discovered machine by a token that a person made', async () => {
    const world = new EnrollmentWorld();
    await world.insert(aMachine({ state: 'discovered' }));
    expect((await world.enroll((await world.token()).token)).kind).toBe('enrolled');
  });

  it('lets a machine in RAM enroll anew at each boot, and revokes its certificate of before', async () => {
    const world = new EnrollmentWorld();
    await world.insert(aMachine({ state: 'active', configDigest: 'sha256:old' }));
    const first = await world.enroll((await world.token()).token, { csrPem: 'csr first boot' });
    const second = await world.enroll((await world.token()).token, { csrPem: 'csr second boot' });
    if (first.kind === 'refused' || second.kind === 'refused') throw new Error('refused');
    expect(await world.service.identify(first.certificate.serial)).toEqual({ kind: 'refused', code: 'unauthorised' });
    expect(await world.service.identify(second.certificate.serial)).toMatchObject({ kind: 'machine' });
    expect((await world.machines())[0]).not.toHaveProperty('configDigest');
  });

  it('answers the same key with the same certificate, since the first answer may be lost, and changes nothing', async () => {
    const world = new EnrollmentWorld();
    const { token } = await world.token();
    const first = await world.enroll(token);
    const before = await world.record();
    const events = await world.events();
    expect(await world.enroll(token)).toEqual({ ...first, replayed: true });
    expect(await world.record()).toEqual(before);
    expect(await world.events()).toEqual(events);
  });

  it('serves as many keys as the token has uses, and no more', async () => {
    const world = new EnrollmentWorld();
    const { token } = await world.token({ uses: 2 });
    const ask = (number: number): Promise<unknown> =>
      world.enroll(token, { csrPem: `csr ${number}`, candidate: { macs: [aMac(number)] } });
    expect([await ask(1), await ask(2), await ask(3)]).toMatchObject([
      { kind: 'enrolled' },
      { kind: 'enrolled' },
      { kind: 'refused', code: 'token-used' },
    ]);
  });

  it('finds the machine of a bound token by its bond alone: other addresses that the bearer names mean nothing', async () => {
    const world = new EnrollmentWorld();
    await world.insert(aMachine({ id: aMachineId('m-victim'), macs: [aMac(2)], state: 'active' }));
    const { token } = await world.token({ mac: aMac(1) });
    const outcome = await world.enroll(token, { candidate: { macs: [aMac(2), aMac(1)] } });
    expect(outcome).toMatchObject({ kind: 'enrolled' });
    expect(await world.stores.machines.findByMac(aMac(2))).toMatchObject({ id: 'm-victim', state: 'active' });
    expect(await world.stores.machines.findByMac(aMac(1))).toMatchObject({ macs: [aMac(1)] });
  });

  it('finds the machine of a token bound to a UUID, unless several share it', async () => {
    const world = new EnrollmentWorld();
    const { id } = await world.insert(aMachine({ uuid: 'u-1', macs: [aMac(5)], state: 'approved' }));
    const candidate = { macs: [aMac(9)], uuid: 'u-1' };
    expect(await world.enroll((await world.token({ uuid: 'u-1' })).token, { candidate })).toMatchObject({
      machineId: id,
    });
    await world.insert(aMachine({ id: aMachineId('m-twin'), uuid: 'u-1', macs: [aMac(6)] }));
    const outcome = await world.enroll((await world.token({ uuid: 'u-1' })).token, { candidate, csrPem: 'csr other' });
    expect(outcome).toMatchObject({ kind: 'enrolled', machineId: 'm-0000000000000001' });
  });

  it('tries again when the machine changed meanwhile, and says so when it never stands still', async () => {
    const world = new EnrollmentWorld();
    await world.insert(aMachine({ state: 'approved' }));
    const { token } = await world.token();
    const issue = world.authority.issue.bind(world.authority);
    let changes = 1;
    world.authority.issue = async (...args) => {
      const [machine] = await world.machines();
      if (machine !== undefined && changes-- > 0) await world.stores.machines.save(machine);
      return issue(...args);
    };
    expect(await world.enroll(token)).toMatchObject({ kind: 'enrolled' });
    changes = Infinity;
    const { token: another } = await world.token();
    expect(await world.enroll(another, { csrPem: 'csr other' })).toMatchObject({ kind: 'refused', code: 'conflict' });
  });

  it('changes nothing when the signature fails: the token can be used again', async () => {
    const world = new EnrollmentWorld();
    await world.insert(aMachine({ state: 'approved' }));
    const { token } = await world.token();
    const before = await world.record();
    const issue = world.authority.issue.bind(world.authority);
    world.authority.issue = () => Promise.reject(new Error('the CA is out'));
    await expect(world.enroll(token)).rejects.toThrow('the CA is out');
    expect(await world.record()).toEqual(before);
    world.authority.issue = issue;
    expect(await world.enroll(token)).toMatchObject({ kind: 'enrolled' });
  });
});

interface Case {
  readonly title: string;
  readonly code: ErrorCode;
  /** Prepares the world and returns what the bearer sends. */
  readonly given: (world: EnrollmentWorld) => Promise<EnrollmentRequest>;
}

async function ofToken(world: EnrollmentWorld, change: (token: string) => string): Promise<EnrollmentRequest> {
  return aRequest(change((await world.token()).token));
}

const REFUSALS: readonly Case[] = [
  { title: 'a text that is no token', code: 'token-malformed', given: () => Promise.resolve(aRequest('hello')) },
  {
    title: 'a token signed by another server',
    code: 'token-forged',
    given: async () => aRequest(await stranger.sign(CLAIMS)),
  },
  { title: 'alg none (RFC 8725 §2.1)', code: 'token-forged', given: (world) => ofToken(world, withoutSignature) },
  { title: 'an altered payload', code: 'token-forged', given: (world) => ofToken(world, withMoreUses) },
  {
    title: 'a token past its end and 60 s of skew',
    code: 'token-expired',
    given: async (world) => {
      const request = await ofToken(world, (token) => token);
      world.now = NOON + 960_000;
      return request;
    },
  },
  {
    title: 'a token that does not hold yet',
    code: 'token-expired',
    given: async (world) => aRequest(await world.signer.sign({ ...CLAIMS, nbf: NOON / 1000 + 61 })),
  },
  {
    title: 'a token for another audience',
    code: 'token-wrong-audience',
    given: async (world) => aRequest(await world.signer.sign({ ...CLAIMS, aud: 'somebody-else' })),
  },
  {
    title: 'a well signed token that is not on record',
    code: 'token-unknown',
    given: async (world) => aRequest(await world.signer.sign(CLAIMS)),
  },
  {
    title: 'a revoked token',
    code: 'token-revoked',
    given: async (world) => {
      const { token, record } = await world.token();
      await world.service.revokeToken(record.id, 'admin');
      return aRequest(token);
    },
  },
  {
    title: 'another MAC than the token is bound to',
    code: 'token-wrong-machine',
    given: async (world) => aRequest((await world.token({ mac: aMac(2) })).token),
  },
  {
    title: 'a UUID on record that contradicts the token’s',
    code: 'token-wrong-machine',
    given: async (world) => {
      await world.insert(aMachine({ uuid: 'u-1', state: 'approved' }));
      return aRequest((await world.token({ uuid: 'u-2' })).token, { candidate: { macs: [aMac()], uuid: 'u-2' } });
    },
  },
  {
    title: 'another key after the last use',
    code: 'token-used',
    given: async (world) => {
      const { token } = await world.token();
      await world.enroll(token);
      return aRequest(token, { csrPem: 'csr thief' });
    },
  },
  {
    title: 'the same key, once its certificate was revoked by a later enrollment',
    code: 'token-used',
    given: async (world) => {
      const { token } = await world.token();
      await world.enroll(token);
      await world.enroll((await world.token()).token, { csrPem: 'csr later' });
      return aRequest(token);
    },
  },
  {
    title: 'a bad certificate request',
    code: 'csr-invalid',
    given: async (world) => aRequest((await world.token()).token, { csrPem: 'nonsense' }),
  },
  {
    title: 'a retired machine, whoever made the token',
    code: 'machine-retired',
    given: async (world) => {
      await world.insert(aMachine({ state: 'retired' }));
      return aRequest((await world.token()).token);
    },
  },
  {
    title: 'a retired machine that names another of its addresses first',
    code: 'machine-retired',
    given: async (world) => {
      await world.insert(aMachine({ state: 'retired', macs: [aMac(2)] }));
      return aRequest((await world.token()).token, { candidate: { macs: [aMac(1), aMac(2)] } });
    },
  },
  {
    title: 'the same key again, once its machine was retired',
    code: 'machine-retired',
    given: async (world) => {
      const { token } = await world.token();
      await world.enroll(token);
      const [machine] = await world.machines();
      await world.stores.machines.save({ ...machine!, state: 'retired' });
      return aRequest(token);
    },
  },
  {
    title: 'a discovered machine with the token of a boot',
    code: 'machine-not-approved',
    given: async (world) => {
      await world.insert(aMachine({ state: 'discovered' }));
      return aRequest((await world.token({ by: bootSessionMaker(aSessionId()) })).token);
    },
  },
  {
    title: 'an unknown machine with the token of a boot',
    code: 'machine-not-approved',
    given: async (world) => aRequest((await world.token({ by: bootSessionMaker(aSessionId()) })).token),
  },
  {
    title: 'an unknown machine without an address',
    code: 'invalid-request',
    given: async (world) => aRequest((await world.token()).token, { candidate: { macs: [] } }),
  },
  {
    title: 'more addresses than any machine has',
    code: 'invalid-request',
    given: async (world) =>
      aRequest((await world.token()).token, { candidate: { macs: Array.from({ length: 65 }, (_, n) => aMac(n)) } }),
  },
];

describe('EnrollmentService.enroll refuses, says why, records it and changes nothing', () => {
  it.each(REFUSALS)('$title: $code', async ({ code, given }) => {
    const world = new EnrollmentWorld();
    const request = await given(world);
    const before = await world.record();
    const earlier = await world.events();
    const outcome = await world.service.enroll(request);
    expect(outcome).toMatchObject({ kind: 'refused', code });
    expect(outcome.kind === 'refused' && outcome.message.startsWith(ERROR_CODES[code])).toBe(true);
    expect(await world.record()).toEqual(before);
    const added = (await world.events()).slice(earlier.length);
    const [mac] = request.candidate.macs;
    expect(added).toMatchObject([
      { kind: 'enrollment-refused', details: { code }, ...(mac && { mac: expect.any(String) as string }) },
    ]);
  });

  it('names the machine in the event where one is known', async () => {
    const world = new EnrollmentWorld();
    const { id } = await world.insert(aMachine({ state: 'approved' }));
    const { token, record } = await world.token({ mac: aMac() });
    await world.enroll(token);
    await world.enroll(token, { csrPem: 'csr thief' });
    expect((await world.events()).at(-1)).toMatchObject({
      kind: 'enrollment-refused',
      machineId: id,
      mac: aMac(),
      details: { code: 'token-used', tokenId: record.id },
    });
  });

  it('never puts a token into an event', async () => {
    const world = new EnrollmentWorld();
    const { token } = await world.token();
    await world.enroll(token);
    await world.enroll(token, { csrPem: 'csr thief' });
    expect(JSON.stringify(await world.events())).not.toContain(token.split('.')[2]);
  });
});
