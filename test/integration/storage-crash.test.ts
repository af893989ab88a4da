// A write that was acknowledged is there after the process was killed at any moment (SIGKILL: nothing of it may clean up).
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqlStores } from '../../src/storage/sql/create-sql-stores.ts';
import { openDatabase } from '../../src/storage/sql/open-database.ts';
import { aCertificate, aMachineId } from '../support/domain-builders.ts';

const ROUNDS = 10;
const WRITER = fileURLToPath(new URL('./storage-crash-writer.ts', import.meta.url));

/** Runs the writer, kills it up to 200 ms after its first acknowledged write, and gives the lines it had acknowledged. */
async function writeUntilKilled(path: string, round: number): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, path, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  writer.stdout.once('data', () => {
    setTimeout(() => writer.kill('SIGKILL'), Math.random() * 200);
  });
  const output = new Promise<string>((resolve) => {
    let said = '';
    writer.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    writer.on('close', () => {
      resolve(said);
    });
  });
  // A line without its end was cut off by the kill.
  return (await output).split('\n').slice(0, -1);
}

describe('the database after SIGKILL', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-crash-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('has every write that was acknowledged, and none by half', { timeout: 60_000 }, async () => {
    const path = join(folder, 'muster.db');
    const seqs: number[] = [];
    const serials: string[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const line of await writeUntilKilled(path, round)) {
        const [kind, ...values] = line.split(' ');
        if (kind === 'events') seqs.push(...values.map(Number));
        else serials.push(...values);
      }
      await expectAll(path, seqs, serials, round);
    }
    expect(serials.length).toBeGreaterThan(0);
  });
});

async function expectAll(path: string, seqs: number[], serials: string[], rounds: number): Promise<void> {
  const database = await openDatabase(path);
  const { machines, events, enrollment } = createSqlStores(database);
  try {
    const onRecord = (await events.query({ afterSeq: 0, limit: 1_000_000 })).map(({ seq }) => seq);
    expect(seqs.filter((seq) => !onRecord.includes(seq))).toEqual([]);
    // Batches of three are there whole or not at all, and no number is missing between them.
    expect(onRecord).toEqual(Array.from({ length: onRecord.length }, (_, index) => index + 1));
    expect(onRecord.length % 3).toBe(0);
    for (const serial of serials) {
      expect((await enrollment.findToken(serial))?.uses).toBe(1);
      expect(await enrollment.findRedemption(serial, aCertificate().keyFingerprint)).toMatchObject({ serial });
    }
    for (let round = 1; round <= rounds; round += 1) {
      const machine = await machines.find(aMachineId(`machine-${round}`));
      // Killed before its first redemption.
      if (machine?.certificateSerial === undefined) continue;
      const certificate = await enrollment.findCertificate(machine.certificateSerial);
      expect(certificate).not.toHaveProperty('revokedAt');
      // Each redemption saved the machine once, and the token's use and the certificate came with it.
      expect(Number(machine.certificateSerial.split('-')[1])).toBe(machine.version - 2);
    }
  } finally {
    await database.destroy();
  }
}
