// Child of storage-race.test.ts: at a sign on stdin it redeems every token it can get, and names on stdout those it got.
import { once } from 'node:events';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aCertificate, aMac, aMachine, aMachineId, NOON } from '../support/domain-builders.ts';

const [path = '', name = '', tokens = ''] = process.argv.slice(2);
const database = await openDatabase(path);
const { machines, enrollment } = createSqlStores(database);
const id = aMachineId(name);
let { machine } = await machines.insert(aMachine({ id, macs: [aMac(name.length)] }));

process.stdout.write('ready\n');
await once(process.stdin, 'data');

for (let token = 0; token < Number(tokens); token += 1) {
  const certificate = aCertificate({ serial: `${name}-${token}`, machineId: id, keyFingerprint: name });
  const outcome = await enrollment.redeem({ tokenId: `token-${token}`, certificate, machine, at: NOON });
  if (outcome.kind === 'redeemed') {
    machine = { ...machine, version: machine.version + 1 };
    process.stdout.write(`token-${token}\n`);
  }
}
process.stdin.destroy();
await database.destroy();
