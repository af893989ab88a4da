// Clients that others wrote, against the server on loopback; every file is compared by its hash.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { createClient } from 'tftp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256, someBytes, startTftpWorld } from '../support/tftp-world.ts';
import type { TftpWorld } from '../support/tftp-world.ts';

const run = promisify(execFile);

const files = new Map([
  ['loader.efi', someBytes(1_000_003)],
  // Multiples of 512 and of 1468: the last block is empty.
  ['even.img', someBytes(512 * 1468)],
  ['empty', someBytes(0)],
]);

let world: TftpWorld;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'muster-tftp-'));
  world = await startTftpWorld(files);
});

afterAll(async () => {
  await world.stop();
  await rm(folder, { recursive: true });
});

/** `it`, or a skipped test that says which program is missing. */
function itWith(program: string, output?: string): (name: string, body: () => Promise<void>) => void {
  try {
    const printed = execFileSync(program, ['-V'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    if (output !== undefined && !printed.includes(output)) throw new Error(`${program} without ${output}`);
    return (name, body) => {
      it(`${program}: ${name}`, body);
    };
  } catch {
    return (name) => {
      it.skip(`${program}: ${name} (skipped: no ${[program, output].filter(Boolean).join(' with ')} here)`);
    };
  }
}

async function expectSame(name: string, local: string): Promise<void> {
  expect(sha256(await readFile(local))).toBe(sha256(files.get(name)!));
}

describe('real TFTP clients', () => {
  const atftp = async (name: string, ...options: string[]): Promise<void> => {
    const local = path.join(folder, `atftp-${options.length}-${name}`);
    const asked = options.flatMap((option) => ['--option', option]);
    await run('atftp', [...asked, '-g', '-r', name, '-l', local, '127.0.0.1', String(world.port)]);
    await expectSame(name, local);
  };

  itWith('atftp')('reads without options', () => atftp('loader.efi'));
  itWith('atftp')('reads with large blocks in a window', () =>
    atftp('loader.efi', 'tsize enable', 'blksize 1468', 'timeout 3', 'windowsize 16'),
  );
  itWith('atftp')('reads a file that ends with an empty block', () =>
    atftp('even.img', 'blksize 1468', 'windowsize 8'),
  );

  itWith('tftp', 'tftp-hpa')('reads in octet mode', async () => {
    for (const name of files.keys()) {
      const local = path.join(folder, `hpa-${name}`);
      await run('tftp', ['-m', 'binary', '127.0.0.1', String(world.port), '-c', 'get', name, local]);
      await expectSame(name, local);
    }
  });

  itWith('tftp', 'tftp-hpa')('is refused in netascii, and to write', async () => {
    const port = String(world.port);
    const local = path.join(folder, 'netascii');
    const read = await run('tftp', ['-m', 'ascii', '127.0.0.1', port, '-c', 'get', 'loader.efi', local]);
    expect(read.stdout + read.stderr).toContain('Error code 4: Only octet mode');
    const write = await run('tftp', ['-m', 'binary', '127.0.0.1', port, '-c', 'put', import.meta.filename, 'x']);
    expect(write.stdout + write.stderr).toContain('Error code 2: Read only');
  });

  itWith('curl', 'tftp')('reads with its block sizes, from a name with a doubled slash', async () => {
    for (const blockSize of ['512', '1468', '9000']) {
      const local = path.join(folder, `curl-${blockSize}`);
      const url = `tftp://127.0.0.1:${world.port}//even.img`;
      await run('curl', ['-sS', '--tftp-blksize', blockSize, '-o', local, url]);
      await expectSame('even.img', local);
    }
  });

  itWith('curl', 'tftp')('is told at once that a name is missing', async () => {
    const url = `tftp://127.0.0.1:${world.port}/autoexec.ipxe`;
    const started = Date.now();
    // 68: file not found on TFTP server.
    await expect(run('curl', ['-sS', url])).rejects.toMatchObject({ code: 68 });
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it.each([1, 4, 16])('npm tftp: reads with a window of %i', async (windowSize) => {
    const local = path.join(folder, `npm-${windowSize}`);
    const client = createClient({ host: '127.0.0.1', port: world.port, windowSize });
    await new Promise<void>((resolve, reject) => {
      client.get('loader.efi', local, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
    // It ends without an error on wrong content too: only the hash counts.
    await expectSame('loader.efi', local);
  });
});
