// Child of storage-crash.test.ts: writes without end, and names on stdout each write that was acknowledged, until it is killed.
import { writeSync } from 'node:fs';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aCertificate, aMac, aMachine, aMachineId, anEvent, aToken, NOON } from '../support/domain-builders.ts';

const [path = '', round = ''] = process.argv.slice(2);
const { machines, events, enrollment } = createSqlStores(await openDatabase(path));
const id = aMachineId(`machine-${round}`);
let { machine } = await machines.insert(aMachine({ id, macs: [aMac(Number(round))] }));

for (let number = 0; ; number += 1) {
  const stored = await events.append([1, 2, 3].map((at) => ({ at, event: anEvent({ machineId: id }) })));
  acknowledge(`events ${stored.map(({ seq }) => seq).join(' ')}`);

  const serial = `${round}-${number}`;
  await enrollment.insertToken(aToken({ id: serial }));
  const outcome = await enrollment.redeem({
    tokenId: serial,
    certificate: aCertificate({ serial, machineId: id }),
    machine: { ...machine, certificateSerial: serial },
    at: NOON,
  });
  if (outcome.kind !== 'redeemed') throw new Error(`redeem said ${outcome.kind}`);
  machine = { ...machine, version: machine.version + 1 };
  acknowledge(`redeemed ${serial}`);
}

/** Synchronous: what a SIGKILL finds unsent was never acknowledged. */
function acknowledge(line: string): void {
  writeSync(1, `${line}\n`);
}
