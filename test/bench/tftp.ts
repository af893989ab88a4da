// TFTP: Muster beside atftpd, the one peer that knows windowsize (RFC 7440). Every byte that arrives is compared.
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildTftpload, runTftpload } from '../support/tftpload.ts';
import { BenchServer, createBenchNetwork, missingForNetwork } from './bench-network.ts';
import type { BenchNetwork } from './bench-network.ts';
import { median } from './subject.ts';
import type { BenchResult } from './subject.ts';

const TITLE = 'TFTP over a veth pair, blksize 1468';
const ROUNDS = 5;
/** No round begins after this, so that a busy machine gives fewer rounds, not a longer wait. */
const BUDGET_MILLISECONDS = 90_000;
const LOAD_SECONDS = 10;
const MEBIBYTE = 1024 * 1024;

const CASES = [
  { clients: 32, windowSize: 16, file: 'f16', mebibytes: 16 },
  { clients: 1, windowSize: 16, file: 'f16', mebibytes: 16 },
  { clients: 32, windowSize: 1, file: 'f4', mebibytes: 4 },
  { clients: 1, windowSize: 1, file: 'f4', mebibytes: 4 },
] as const;
type Case = (typeof CASES)[number];

const PEERS = [
  { name: 'atftpd', port: 69, command: (address: string, folder: string) => atftpd(address, folder) },
  { name: 'muster', port: 6969, command: (address: string, folder: string) => muster(address, folder) },
] as const;
type Peer = (typeof PEERS)[number];

interface Sample {
  readonly peer: Peer['name'];
  readonly case: Case;
  readonly megabytesPerSecond: number;
  readonly cpuSeconds: number;
  readonly gigabytes: number;
  readonly finished: boolean;
}

export async function benchTftp(): Promise<BenchResult> {
  const reason = missingForNetwork(['gcc', 'atftpd']);
  if (reason !== undefined) return { kind: 'skipped', title: TITLE, reason };
  const folder = await mkdtemp(path.join(tmpdir(), 'muster-bench-'));
  // atftpd gives up its rights before it reads.
  await chmod(folder, 0o755);
  try {
    const program = await buildTftpload(folder);
    for (const { file, mebibytes } of CASES) {
      await writeFile(path.join(folder, file), randomBytes(mebibytes * MEBIBYTE), { mode: 0o644 });
    }
    const network = await createBenchNetwork();
    try {
      return await measure(network, program, folder);
    } finally {
      await network.remove();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measure(network: BenchNetwork, program: string, folder: string): Promise<BenchResult> {
  const servers = PEERS.map((peer) => ({
    peer,
    server: new BenchServer([...network.onServer, ...peer.command(network.serverAddress, folder)]),
  }));
  try {
    await sleep(1500);
    const samples: Sample[] = [];
    const started = performance.now();
    for (let round = 0; round < ROUNDS; round++) {
      if (performance.now() - started > BUDGET_MILLISECONDS) break;
      for (const one of CASES) {
        // One after the other in every round, so that a busy minute of the machine falls on both.
        for (const { peer, server } of servers) {
          samples.push(await load(network, program, folder, one, peer, server));
        }
      }
    }
    const memory = await Promise.all(
      servers.map(async ({ peer, server }) => `${peer.name} ${(await server.peakMebibytes()).toFixed(0)} MiB`),
    );
    return table(samples, memory.join(', '));
  } finally {
    await Promise.all(servers.map(({ server }) => server.stop()));
  }
}

async function load(
  network: BenchNetwork,
  program: string,
  folder: string,
  one: Case,
  peer: Peer,
  server: BenchServer,
): Promise<Sample> {
  const { clients, windowSize, file } = one;
  const target = ['-H', network.serverAddress, '-p', peer.port, '-f', file, '-r', path.join(folder, file)];
  const shape = ['-b', 1468, '-w', windowSize, '-c', clients, '-X', LOAD_SECONDS];
  const before = await server.cpuSeconds();
  const result = await runTftpload(program, [...target, ...shape], network.onClient);
  const cpuSeconds = (await server.cpuSeconds()) - before;
  // Too slow to finish in time counts with what it moved; anything else wrong does not count at all.
  if (result.bad > 0 || result.fail > 0) {
    throw new Error(`${peer.name}, ${clients} clients, window ${windowSize}: ${JSON.stringify(result)}`);
  }
  return {
    peer: peer.name,
    case: one,
    megabytesPerSecond: result.MBps,
    cpuSeconds,
    gigabytes: result.bytes / 1e9,
    finished: result.unfinished === 0,
  };
}

function table(samples: readonly Sample[], memory: string): BenchResult {
  const rows = CASES.flatMap((one) => {
    const of = (name: string): Sample[] => samples.filter((sample) => sample.case === one && sample.peer === name);
    const speed = (name: string): number => median(of(name).map((sample) => sample.megabytesPerSecond));
    return PEERS.map(({ name }) => {
      const speeds = of(name).map((sample) => sample.megabytesPerSecond);
      const cpu = sum(of(name).map((sample) => sample.cpuSeconds)) / sum(of(name).map((sample) => sample.gigabytes));
      return [
        `${one.clients} x ${one.windowSize}`,
        name,
        speed(name).toFixed(0),
        `${Math.min(...speeds).toFixed(0)}-${Math.max(...speeds).toFixed(0)}`,
        cpu.toFixed(2),
        (speed(name) / speed('atftpd')).toFixed(2),
      ];
    });
  });
  return {
    kind: 'table',
    title: TITLE,
    columns: ['clients x windowsize', 'server', 'MB/s (median)', 'range', 'CPU s/GB', 'times atftpd'],
    rows,
    notes: [
      `${samples.length / CASES.length / PEERS.length} alternating rounds; server on core 0, clients on core 1; files of 16 MiB (windowsize 16) and 4 MiB (1).`,
      `Peak memory: ${memory}. Runs cut off after ${LOAD_SECONDS} s: ${samples.filter(({ finished }) => !finished).length}.`,
    ],
  };
}

function atftpd(address: string, folder: string): string[] {
  const options = ['--daemon', '--no-fork', '--port', '69', '--bind-address', address, '--maxthread', '200'];
  return ['atftpd', ...options, '--logfile', '/dev/null', folder];
}

function muster(address: string, folder: string): string[] {
  const script = fileURLToPath(import.meta.resolve('./tftp-server-process.ts'));
  return [process.execPath, script, address, '6969', folder, '1500'];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
