// What comes after enrolling: the certificate as identity, and its renewal.
import { describe, expect, it } from 'vitest';
import type { CertificateRecord } from '../../../src/enrollment/enrollment-store.ts';
import type { Machine, MachineState } from '../../../src/machines/machine.ts';
import { aMachineId } from '../../support/domain-builders.ts';
import { EnrollmentWorld } from '../../support/enrollment-world.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

async function enrolled(): Promise<{ world: EnrollmentWorld; machine: Machine; certificate: CertificateRecord }> {
  const world = new EnrollmentWorld();
  const outcome = await world.enroll((await world.token()).token);
  const [machine] = await world.machines();
  if (outcome.kind === 'refused' || machine === undefined) throw new Error('not enrolled');
  return { world, machine, certificate: outcome.certificate };
}

async function setState(world: EnrollmentWorld, state: MachineState): Promise<void> {
  const [machine] = await world.machines();
  await world.stores.machines.save({ ...machine!, state });
}

describe('EnrollmentService.identify', () => {
  it('knows the machine behind a serial, in upper case too, as node:tls gives it', async () => {
    const { world, machine, certificate } = await enrolled();
    const expected = { kind: 'machine', machine: { id: machine.id } };
    expect(await world.service.identify(certificate.serial)).toMatchObject(expected);
    expect(await world.service.identify(certificate.serial.toUpperCase())).toMatchObject(expected);
  });

  it('refuses a serial that is not on record', async () => {
    const { world } = await enrolled();
    expect(await world.service.identify('00')).toEqual({ kind: 'refused', code: 'unauthorised' });
  });

  it('refuses a certificate past its end, though TLS might take it with a wrong clock', async () => {
    const { world, certificate } = await enrolled();
    world.now = certificate.notAfter;
    expect(await world.service.identify(certificate.serial)).toEqual({ kind: 'refused', code: 'unauthorised' });
  });

  it('refuses a revoked certificate at once', async () => {
    const { world, machine, certificate } = await enrolled();
    await world.stores.enrollment.revokeCertificatesOf(machine.id, world.now);
    expect(await world.service.identify(certificate.serial)).toEqual({ kind: 'refused', code: 'unauthorised' });
  });

  it('refuses a retired machine, and the old certificate of one that was approved again', async () => {
    const { world, certificate } = await enrolled();
    await setState(world, 'retired');
    expect(await world.service.identify(certificate.serial)).toEqual({ kind: 'refused', code: 'machine-retired' });
    await setState(world, 'approved');
    expect(await world.service.identify(certificate.serial)).toEqual({ kind: 'refused', code: 'unauthorised' });
  });
});

describe('EnrollmentService.renew', () => {
  const renewal = (machine: Machine, csrPem = 'csr key-2'): Parameters<EnrollmentWorld['service']['renew']>[0] => ({
    machineId: machine.id,
    csrPem,
    peerAddress: '192.0.2.51',
  });

  it('gives a certificate for a new day, and keeps the present one good until its end', async () => {
    const { world, machine, certificate } = await enrolled();
    world.now += DAY / 2;
    const outcome = await world.service.renew(renewal(machine));
    if (outcome.kind === 'refused') throw new Error(outcome.code);
    expect(outcome).toMatchObject({
      machineId: machine.id,
      replayed: false,
      certificate: { notAfter: world.now + DAY },
    });
    for (const { serial } of [certificate, outcome.certificate])
      expect(await world.service.identify(serial)).toMatchObject({ kind: 'machine' });
    expect((await world.machines())[0]).toMatchObject({
      state: 'enrolled',
      certificateSerial: outcome.certificate.serial,
      address: '192.0.2.51',
    });
    expect((await world.events()).at(-1)).toMatchObject({
      kind: 'certificate-renewed',
      machineId: machine.id,
      details: { certificateSerial: outcome.certificate.serial },
    });
  });

  it('gives the same key the same certificate for a minute, since the first answer may be lost', async () => {
    const { world, machine } = await enrolled();
    world.now += DAY / 2;
    const first = await world.service.renew(renewal(machine));
    world.now += MINUTE - 1;
    expect(await world.service.renew(renewal(machine))).toEqual({ ...first, replayed: true });
    world.now += 1;
    expect(await world.service.renew(renewal(machine))).toMatchObject({ kind: 'enrolled', replayed: false });
  });

  it.each([
    ['retired', 'machine-retired'],
    ['approved', 'unauthorised'],
  ] as const)('refuses a machine that is %s: %s', async (state, code) => {
    const { world, machine } = await enrolled();
    await setState(world, state);
    expect(await world.service.renew(renewal(machine))).toMatchObject({ kind: 'refused', code });
    expect((await world.events()).at(-1)).toMatchObject({ kind: 'enrollment-refused', details: { code } });
  });

  it('refuses a bad request and a machine that is not on record', async () => {
    const { world, machine } = await enrolled();
    expect(await world.service.renew(renewal(machine, 'nonsense'))).toMatchObject({ code: 'csr-invalid' });
    const nobody = { ...machine, id: aMachineId('m-nobody') };
    expect(await world.service.renew(renewal(nobody))).toMatchObject({ code: 'unauthorised' });
  });

  it('puts no certificate on record for a machine that enrolled anew while the renewal was being signed', async () => {
    const { world, machine } = await enrolled();
    const issue = world.authority.issue.bind(world.authority);
    let serial = '';
    world.authority.issue = async (...args) => {
      world.authority.issue = issue;
      await world.enroll((await world.token()).token, { csrPem: 'csr next boot' });
      const certificate = await issue(...args);
      serial = certificate.serial;
      return certificate;
    };
    expect(await world.service.renew(renewal(machine))).toMatchObject({ kind: 'refused', code: 'conflict' });
    expect(await world.service.identify(serial)).toEqual({ kind: 'refused', code: 'unauthorised' });
  });
});
