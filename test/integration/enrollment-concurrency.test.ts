// A thousand machines with one token at once: the promise of single use, over memory and over the real database.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aMac } from '../support/domain-builders.ts';
import { aRequest, EnrollmentWorld, type WorldStores } from '../support/enrollment-world.ts';
import { Scratch } from '../support/openssl.ts';

const MACHINES = 1000;

describe.each(['memory', 'sqlite'])('enrolling over %s', (kind) => {
  let scratch: Scratch;
  let close: () => Promise<void> = () => Promise.resolve();
  let stores: WorldStores | undefined;

  beforeEach(async () => {
    scratch = await Scratch.open();
    if (kind === 'memory') return;
    const database = await openDatabase(scratch.file('muster.db'));
    stores = createSqlStores(database);
    close = () => database.destroy();
  });
  afterEach(async () => {
    await close();
    await scratch[Symbol.asyncDispose]();
  });

  it('gives exactly one identity for a single-use token that a thousand keys redeem at once', async () => {
    const world = new EnrollmentWorld(stores === undefined ? {} : { stores });
    const { token } = await world.token();
    const outcomes = await Promise.all(
      Array.from({ length: MACHINES }, (_, n) =>
        world.service.enroll(aRequest(token, { csrPem: `csr ${n}`, candidate: { macs: [aMac(n)] } })),
      ),
    );
    expect(outcomes.filter((outcome) => outcome.kind === 'enrolled')).toHaveLength(1);
    const refused = outcomes.filter((outcome) => outcome.kind === 'refused');
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['token-used']));
    expect(await world.machines()).toHaveLength(1);
    expect(world.authority.issued).toBe(1);
    const events = await world.events();
    expect(events.filter(({ kind: of }) => of === 'enrolled')).toHaveLength(1);
    expect(events.filter(({ kind: of }) => of === 'enrollment-refused')).toHaveLength(MACHINES - 1);
  });

  it('gives the same answer to all of a hundred requests by the same key', async () => {
    const world = new EnrollmentWorld(stores === undefined ? {} : { stores });
    const { token, record } = await world.token();
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, () => world.enroll(token, { candidate: { macs: [aMac(5000)] } })),
    );
    const serials = outcomes.map((outcome) =>
      outcome.kind === 'enrolled' ? outcome.certificate.serial : outcome.code,
    );
    expect(new Set(serials).size).toBe(1);
    expect(outcomes.filter((outcome) => outcome.kind === 'enrolled' && !outcome.replayed)).toHaveLength(1);
    expect((await world.service.findToken(record.id))?.uses).toBe(1);
  });
});
