import { beforeEach, describe, expect, it } from 'vitest';
import type { CertificateRecord, EnrollmentStore } from '../../src/enrollment/enrollment-store.ts';
import type { TokenRecord } from '../../src/enrollment/enrollment-token.ts';
import type { Machine } from '../../src/machines/machine.ts';
import type { MachineStore } from '../../src/machines/machine-store.ts';
import { aCertificate, aMac, aMachine, aMachineId, aToken, NOON } from '../support/domain-builders.ts';
import { STORE_ADAPTERS, storesOf } from './store-adapters.ts';

const AT = NOON + 1_000;

/** Everything that a token can have. */
const COMPLETE: TokenRecord = aToken({
  maxUses: 3,
  uses: 2,
  revokedAt: NOON + 5,
  note: 'rack A1',
  mac: aMac(),
  uuid: '4c4c4544-0042-3510-8054-b4c04f4d3732',
  serial: 'B5MT7M2',
  profile: 'workers',
  labels: { rack: 'A1' },
});

/** A redemption by one of many keys: number 1 has serial 1 and key 1. */
function aRedemption(number: number, overrides: { tokenId?: string; machine?: Machine } = {}) {
  const machine = overrides.machine ?? aMachine({ state: 'enrolled' });
  const certificate = aCertificate({
    serial: number.toString(16),
    keyFingerprint: number.toString(16).padStart(64, '0'),
    machineId: machine.id,
  });
  return { tokenId: overrides.tokenId ?? 'token-1', certificate, machine, at: AT };
}

describe.each(STORE_ADAPTERS)('EnrollmentStore ($name)', (adapter) => {
  const open = storesOf(adapter);
  let enrollment: EnrollmentStore;
  let machines: MachineStore;
  beforeEach(async () => {
    ({ enrollment, machines } = open().stores);
    await machines.insert(aMachine());
  });

  describe('tokens', () => {
    it('gives back every property of a token, and leaves absent what was absent', async () => {
      await enrollment.insertToken(COMPLETE);
      await enrollment.insertToken(aToken({ id: 'plain' }));
      expect(await enrollment.findToken(COMPLETE.id)).toEqual(COMPLETE);
      expect(Object.keys((await enrollment.findToken('plain'))!).sort()).toEqual(Object.keys(aToken()).sort());
      expect(await enrollment.findToken('no-such')).toBeUndefined();
    });

    it('fails rather than overwrite a token of the same id', async () => {
      await enrollment.insertToken(aToken());
      await expect(enrollment.insertToken(aToken({ maxUses: 9 }))).rejects.toMatchObject({ code: 'storage-failure' });
      expect(await enrollment.findToken('token-1')).toEqual(aToken());
    });

    it('lists the newest first and at most `limit`', async () => {
      for (const number of [1, 3, 2])
        await enrollment.insertToken(aToken({ id: `token-${number}`, createdAt: NOON + number }));
      const list = await enrollment.listTokens({ limit: 2, includeEnded: true, now: NOON });
      expect(list.map(({ id }) => id)).toEqual(['token-3', 'token-2']);
    });

    it('leaves out tokens that are revoked, expired or used up, unless asked for', async () => {
      await enrollment.insertToken(aToken({ id: 'open', expiresAt: AT + 1 }));
      await enrollment.insertToken(aToken({ id: 'revoked', revokedAt: NOON }));
      await enrollment.insertToken(aToken({ id: 'expired', expiresAt: AT }));
      await enrollment.insertToken(aToken({ id: 'used', maxUses: 2, uses: 2 }));
      const idsOf = async (includeEnded: boolean): Promise<string[]> =>
        (await enrollment.listTokens({ limit: 10, includeEnded, now: AT })).map(({ id }) => id).sort();
      expect(await idsOf(false)).toEqual(['open']);
      expect(await idsOf(true)).toEqual(['expired', 'open', 'revoked', 'used']);
    });

    it('keeps the first time when a token is revoked twice', async () => {
      await enrollment.insertToken(aToken());
      expect(await enrollment.revokeToken('token-1', AT)).toBe(true);
      expect(await enrollment.revokeToken('token-1', AT + 1)).toBe(true);
      expect(await enrollment.findToken('token-1')).toEqual(aToken({ revokedAt: AT }));
    });

    it('says that there was no token to revoke', async () => {
      expect(await enrollment.revokeToken('no-such', AT)).toBe(false);
    });
  });

  describe('redeem', () => {
    it('burns one use, records the certificate and the redemption, and saves the machine', async () => {
      await enrollment.insertToken(aToken({ maxUses: 2 }));
      const redemption = aRedemption(1, { machine: aMachine({ state: 'enrolled', certificateSerial: '1' }) });
      expect(await enrollment.redeem(redemption)).toEqual({ kind: 'redeemed' });
      expect(await enrollment.findToken('token-1')).toEqual(aToken({ maxUses: 2, uses: 1 }));
      expect(await enrollment.findCertificate('1')).toEqual(redemption.certificate);
      expect(await enrollment.findRedemption('token-1', redemption.certificate.keyFingerprint)).toEqual(
        redemption.certificate,
      );
      expect(await machines.find(aMachineId())).toEqual({ ...redemption.machine, version: 2 });
    });

    it('revokes the earlier certificates of that machine, and of no other', async () => {
      await enrollment.insertToken(aToken());
      await enrollment.insertCertificate(aCertificate({ serial: 'a0' }));
      await enrollment.insertCertificate(aCertificate({ serial: 'a1', revokedAt: NOON }));
      await enrollment.insertCertificate(aCertificate({ serial: 'b0', machineId: aMachineId('other') }));
      await enrollment.redeem(aRedemption(1));
      expect((await enrollment.findCertificate('a0'))?.revokedAt).toBe(AT);
      expect((await enrollment.findCertificate('a1'))?.revokedAt).toBe(NOON);
      expect(await enrollment.findCertificate('b0')).not.toHaveProperty('revokedAt');
      expect(await enrollment.findCertificate('1')).not.toHaveProperty('revokedAt');
    });

    it('answers the same key again with the certificate of then, and changes nothing', async () => {
      await enrollment.insertToken(aToken({ maxUses: 5 }));
      const first = aRedemption(1);
      await enrollment.redeem(first);
      const before = await machines.find(aMachineId());
      const again = {
        ...first,
        certificate: { ...first.certificate, serial: 'ff' },
        machine: { ...before!, hostname: 'x' },
      };
      expect(await enrollment.redeem(again)).toEqual({ kind: 'replayed', certificate: first.certificate });
      expect(await enrollment.findToken('token-1')).toEqual(aToken({ maxUses: 5, uses: 1 }));
      expect(await enrollment.findCertificate('ff')).toBeUndefined();
      expect(await machines.find(aMachineId())).toEqual(before);
    });

    it('answers the same key also when the token has ended since: the first answer may have been lost', async () => {
      await enrollment.insertToken(aToken());
      await enrollment.redeem(aRedemption(1));
      await enrollment.revokeToken('token-1', AT);
      expect(await enrollment.redeem(aRedemption(1))).toMatchObject({ kind: 'replayed', certificate: { serial: '1' } });
    });

    it('shows on a replay that the certificate was revoked meanwhile', async () => {
      await enrollment.insertToken(aToken());
      await enrollment.redeem(aRedemption(1));
      await enrollment.revokeCertificatesOf(aMachineId(), AT + 1);
      expect(await enrollment.redeem(aRedemption(1))).toMatchObject({ certificate: { revokedAt: AT + 1 } });
    });

    it.each<{ token?: TokenRecord; reason: string }>([
      { reason: 'token-unknown' },
      { token: aToken({ revokedAt: NOON }), reason: 'token-revoked' },
      { token: aToken({ uses: 1 }), reason: 'token-used' },
      { token: aToken({ uses: 1, revokedAt: NOON }), reason: 'token-revoked' },
    ])('refuses with $reason and changes nothing', async ({ token, reason }) => {
      if (token !== undefined) await enrollment.insertToken(token);
      expect(await enrollment.redeem(aRedemption(1))).toEqual({ kind: 'refused', reason });
      expect(await enrollment.findToken('token-1')).toEqual(token);
      expect(await enrollment.findCertificate('1')).toBeUndefined();
      expect(await machines.find(aMachineId())).toEqual(aMachine());
    });

    it('changes nothing when the machine changed meanwhile', async () => {
      await enrollment.insertToken(aToken());
      await enrollment.insertCertificate(aCertificate({ serial: 'a0' }));
      await machines.save(aMachine({ hostname: 'renamed' }));
      expect(await enrollment.redeem(aRedemption(1))).toEqual({ kind: 'stale' });
      expect(await enrollment.findToken('token-1')).toEqual(aToken());
      expect(await enrollment.findCertificate('1')).toBeUndefined();
      expect(await enrollment.findCertificate('a0')).toEqual(aCertificate({ serial: 'a0' }));
      expect((await machines.find(aMachineId()))?.hostname).toBe('renamed');
    });

    it('changes nothing when it fails half-way', async () => {
      await enrollment.insertToken(aToken());
      await enrollment.insertCertificate(aCertificate({ serial: '1', machineId: aMachineId('other') }));
      await expect(enrollment.redeem(aRedemption(1))).rejects.toMatchObject({ code: 'storage-failure' });
      expect(await enrollment.findToken('token-1')).toEqual(aToken());
      expect(await machines.find(aMachineId())).toEqual(aMachine());
    });

    it('gives a single-use token to exactly one of 1,000 keys that come at once, over two connections', async () => {
      await enrollment.insertToken(aToken());
      const second = (await open().second()).enrollment;
      const outcomes = await Promise.all(
        Array.from({ length: 1_000 }, (_, number) =>
          (number % 2 === 0 ? enrollment : second).redeem(aRedemption(number)),
        ),
      );
      const redeemed = outcomes.flatMap((outcome, number) => (outcome.kind === 'redeemed' ? [number] : []));
      expect(redeemed).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.kind === 'refused' && outcome.reason === 'token-used')).toHaveLength(
        999,
      );
      expect((await enrollment.findToken('token-1'))?.uses).toBe(1);
      expect(await goodCertificates(1_000)).toEqual([aRedemption(redeemed[0]!).certificate]);
    });

    it('gives a token of seven uses to exactly seven machines', async () => {
      await enrollment.insertToken(aToken({ maxUses: 7 }));
      const second = (await open().second()).enrollment;
      const candidates = await Promise.all(
        Array.from({ length: 40 }, async (_, number) => {
          const id = aMachineId(`candidate-${number}`);
          return (await machines.insert(aMachine({ id, macs: [aMac(100 + number)] }))).machine;
        }),
      );
      const outcomes = await Promise.all(
        candidates.map((machine, number) =>
          (number % 2 === 0 ? enrollment : second).redeem(aRedemption(number, { machine })),
        ),
      );
      expect(outcomes.filter(({ kind }) => kind === 'redeemed')).toHaveLength(7);
      expect(await enrollment.findToken('token-1')).toEqual(aToken({ maxUses: 7, uses: 7 }));
    });

    it('redeems once when one key comes many times at once, and answers all with that certificate', async () => {
      await enrollment.insertToken(aToken({ maxUses: 100 }));
      const second = (await open().second()).enrollment;
      const { certificate, ...rest } = aRedemption(1);
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, number) =>
          (number % 2 === 0 ? enrollment : second).redeem({
            ...rest,
            certificate: { ...certificate, serial: `c${number}` },
          }),
        ),
      );
      const serials = outcomes.flatMap((outcome) => (outcome.kind === 'replayed' ? [outcome.certificate.serial] : []));
      expect(outcomes.filter(({ kind }) => kind === 'redeemed')).toHaveLength(1);
      expect(serials).toHaveLength(99);
      expect(new Set(serials).size).toBe(1);
      expect((await enrollment.findToken('token-1'))?.uses).toBe(1);
    });

    async function goodCertificates(count: number): Promise<CertificateRecord[]> {
      const found = await Promise.all(
        Array.from({ length: count }, (_, number) => enrollment.findCertificate(number.toString(16))),
      );
      return found.filter((certificate) => certificate !== undefined);
    }
  });

  describe('certificates', () => {
    it('knows no redemption of another key or another token', async () => {
      await enrollment.insertToken(aToken());
      const { certificate } = aRedemption(1);
      await enrollment.redeem(aRedemption(1));
      expect(await enrollment.findRedemption('token-1', 'e'.repeat(64))).toBeUndefined();
      expect(await enrollment.findRedemption('token-2', certificate.keyFingerprint)).toBeUndefined();
    });

    it('leaves the old certificate good when a renewed one is added, so that a lost answer locks nobody out', async () => {
      await enrollment.insertCertificate(aCertificate({ serial: 'a0' }));
      await enrollment.insertCertificate(aCertificate({ serial: 'a1' }));
      expect(await enrollment.findCertificate('a0')).toEqual(aCertificate({ serial: 'a0' }));
      expect(await enrollment.findCertificate('a1')).toEqual(aCertificate({ serial: 'a1' }));
      expect(await enrollment.findCertificate('a2')).toBeUndefined();
    });

    it('fails rather than overwrite a certificate of the same serial number', async () => {
      await enrollment.insertCertificate(aCertificate());
      await expect(enrollment.insertCertificate(aCertificate({ pem: 'x' }))).rejects.toMatchObject({
        code: 'storage-failure',
      });
    });

    it('counts what it revokes: the good ones of that machine', async () => {
      await enrollment.insertCertificate(aCertificate({ serial: 'a0' }));
      await enrollment.insertCertificate(aCertificate({ serial: 'a1' }));
      await enrollment.insertCertificate(aCertificate({ serial: 'b0', machineId: aMachineId('other') }));
      expect(await enrollment.revokeCertificatesOf(aMachineId(), AT)).toBe(2);
      expect(await enrollment.revokeCertificatesOf(aMachineId(), AT + 1)).toBe(0);
      expect((await enrollment.findCertificate('a1'))?.revokedAt).toBe(AT);
      expect(await enrollment.findCertificate('b0')).not.toHaveProperty('revokedAt');
    });
  });
});
