import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DIGEST_1, DIGEST_2, DiskLibrary } from '../support/disk-library.ts';

const MEBIBYTE = 1_048_576;
const CHUNK = 16 * MEBIBYTE;
const CONTENT = randomBytes(2 * CHUNK + 5);
const DIGEST = digestOf(CONTENT);

let library: DiskLibrary;
let server: Server | undefined;
let ranges: string[];

beforeEach(() => {
  library = new DiskLibrary();
  ranges = [];
});
afterEach(async () => {
  library.close();
  server?.closeAllConnections();
  await new Promise<void>((resolve) => {
    if (server === undefined) resolve();
    else
      server.close(() => {
        resolve();
      });
  });
  server = undefined;
});

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A part of it, as the range says. */
function serveContent(content: Buffer = CONTENT): Answer {
  return (request, response) => {
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    response.writeHead(206).end(content.subarray(Number(start), Number(end) + 1));
  };
}

/** The answers in their order; the last one goes on. */
async function listen(...answers: readonly Answer[]): Promise<void> {
  server = createServer((request, response) => {
    ranges.push(request.headers.range ?? '');
    (answers[ranges.length - 1] ?? answers.at(-1))?.(request, response);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  library.order({ order_artifacts_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

/** Fetches the content to a file that is larger, as a slot is. */
async function fetchPart(): Promise<string> {
  const target = library.path('dev/slot');
  const script = `fetched_before=0 progress_file=$oem/muster/progress
    if fetch_part ${DIGEST} ${CONTENT.length} '${target}'; then echo fetched; else echo "$outcome: $reason"; fi`;
  return (await library.runBeside(script)).text.trim().split('\n').at(-1)?.replace(target, 'SLOT') ?? '';
}

const slot = (): Buffer => readFileSync(library.path('dev/slot')).subarray(0, CONTENT.length);

describe('slots', () => {
  const show = 'echo "$slot_image $slot_boot $slot_version $slot_since"';

  it('are noted with image, boot manifest, version and time; the other one keeps its line', () => {
    library.write('oem/muster/slots', `A ${DIGEST_2} ${DIGEST_1} - 17\n`);
    expect(library.run(`note_slot B && read_slot B && ${show}`).text).toMatch(
      new RegExp(`^${DIGEST_1} ${DIGEST_2} 1\\.4 \\d{10}\n$`),
    );
    expect(library.run(`read_slot A; ${show}`).text).toBe(`${DIGEST_2} ${DIGEST_1} - 17\n`);
    expect(library.run(`forget_slot A; read_slot A; ${show}`).text).toBe('   \n');
    expect(library.read('oem/muster/slots').split('\n')).toHaveLength(2);
  });

  it('are nothing where nothing was noted', () => {
    expect(library.run(`read_slot A; ${show}`)).toEqual({ status: 0, text: '   \n' });
  });

  it('of which one is passive on a machine that runs from the other', () => {
    expect(library.run('boot_slot=A; passive_slot; echo "$passive"').text).toBe('B\n');
    expect(library.run('boot_slot=B; passive_slot; echo "$passive"').text).toBe('A\n');
    expect(library.run('passive_slot').status).toBe(1);
  });

  it('are not written while the machine runs from them, or is on trial', () => {
    const write = (slotName: string): string =>
      library.run(`boot_slot=A; write_slot ${slotName}; echo "$outcome: $reason"`).text.trim();
    expect(write('A')).toBe('failed: slot A is the one that this machine runs from');
    library.write('boot/loader/entries/muster-a+1-2.conf', '');
    expect(write('B')).toBe('retry: what this machine runs is on trial itself');
  });

  it('cannot be started and hold nothing while they are written, and are noted when they are whole', async () => {
    const content = CONTENT.subarray(0, 3 * MEBIBYTE);
    library.order({ squashfs_bytes: String(content.length) });
    let during: readonly unknown[] = [];
    await listen((request, response) => {
      during = [library.list('boot/loader/entries'), library.read('oem/muster/slots')];
      serveContent(content)(request, response);
    });
    library.write('oem/muster/slots', `A ${DIGEST_2} ${DIGEST_1} - 17\nB ${DIGEST_2} ${DIGEST_2} - 16\n`);
    library.write('boot/loader/entries/muster-a.conf', 'linux /muster/1111111111111111/linux\n');
    library.write('boot/loader/entries/muster-b+0-3.conf', 'linux /muster/2222222222222222/linux\n');
    library.program('blockdev', `echo ${4 * MEBIBYTE}`);
    const { status, text } = await library.runBeside(`boot_slot=A squashfs_digest=${digestOf(content)}
      find_partition() { partition=$devices/$1; }
      write_slot B`);
    expect({ status, text }).toMatchObject({ status: 0 });
    expect(during).toEqual([['muster-a.conf'], `A ${DIGEST_2} ${DIGEST_1} - 17\n`]);
    expect(readFileSync(library.path('dev/MUSTER_B')).equals(content)).toBe(true);
    expect(library.read('oem/muster/slots')).toMatch(new RegExp(`^A .*\nB ${DIGEST_1} ${DIGEST_2} 1\\.4 \\d+\n$`));
  });

  it('are left alone by an image that is too large for them', () => {
    library.program('blockdev', 'echo 999999');
    library.write('boot/loader/entries/muster-b.conf', '');
    const { text } = library.run(`boot_slot=A
      find_partition() { partition=$devices/$1; }
      write_slot B; echo "$outcome: $reason"`);
    expect(text.trim()).toBe('refused: the image has 1000000 bytes, slot B has 999999');
    expect(library.list('boot/loader/entries')).toEqual(['muster-b.conf']);
  });
});

describe('fetching a part', () => {
  it('takes it in chunks by range (RFC 9110 section 14) and says how far it is', async () => {
    await listen(serveContent());
    expect(await fetchPart()).toBe('fetched');
    expect(ranges).toEqual([
      `bytes=0-${CHUNK - 1}`,
      `bytes=${CHUNK}-${2 * CHUNK - 1}`,
      `bytes=${2 * CHUNK}-${2 * CHUNK + 4}`,
    ]);
    expect(slot().equals(CONTENT)).toBe(true);
  });

  it('goes on after a connection that broke, without what is there', async () => {
    await listen(serveContent(), (_, response) => response.destroy(), serveContent());
    expect(await fetchPart()).toBe('fetched');
    expect(ranges[2]).toBe(`bytes=${CHUNK}-${2 * CHUNK - 1}`);
    expect(slot().equals(CONTENT)).toBe(true);
  });

  it('goes on where it was after a restart, and fetches nothing twice', async () => {
    const half = Buffer.from(CONTENT);
    library.write('dev/slot', half.subarray(0, CHUNK));
    library.write('oem/muster/progress', `${DIGEST} ${library.path('dev/slot')} ${CHUNK}\n`);
    await listen(serveContent());
    expect(await fetchPart()).toBe('fetched');
    expect(ranges[0]).toBe(`bytes=${CHUNK}-${2 * CHUNK - 1}`);
    ranges.length = 0;
    expect(await fetchPart()).toBe('fetched');
    expect(ranges).toEqual([]);
  });

  it('begins anew where the progress is of another image, or damaged', async () => {
    await listen(serveContent());
    library.write('oem/muster/progress', `${DIGEST_1} ${library.path('dev/slot')} ${CHUNK}\n`);
    expect(await fetchPart()).toBe('fetched');
    expect(ranges[0]).toBe(`bytes=0-${CHUNK - 1}`);
    library.write('oem/muster/progress', `${DIGEST} ${library.path('dev/slot')} 1x\n`);
    ranges.length = 0;
    expect(await fetchPart()).toBe('fetched');
    expect(ranges).toHaveLength(3);
  });

  it('fetches all of it once more where the disk gives back something else, and gives up the second time', async () => {
    library.write('dev/slot', Buffer.alloc(CHUNK));
    library.write('oem/muster/progress', `${DIGEST} ${library.path('dev/slot')} ${CHUNK}\n`);
    await listen(serveContent());
    expect(await fetchPart()).toBe('fetched');
    expect(ranges).toHaveLength(2 + 3);
  });

  it('fails where the bytes are wrong every time, and forgets them', async () => {
    await listen(serveContent(randomBytes(CONTENT.length)));
    expect(await fetchPart()).toBe(
      `failed: what SLOT gives back is not ${DIGEST}: the disk is bad, or the server's copy`,
    );
    expect(ranges).toHaveLength(6);
    expect(library.list('oem/muster')).toEqual([]);
  });

  it('takes nothing from who answers with all of it instead of the range', async () => {
    await listen((_, response) => response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT));
    expect(await fetchPart()).toMatch(/^retry: curl: \(63\) Maximum file size exceeded/);
    expect(ranges).toHaveLength(3);
  });

  it('takes a short answer for none', async () => {
    await listen((_, response) => response.writeHead(206).end('short'));
    expect(await fetchPart()).toMatch(/^retry: /);
  });

  it('gives up for now after so many failures in a row, with what the server said', async () => {
    await listen((_, response) => response.writeHead(404).end('gone'));
    expect(await fetchPart()).toBe('retry: curl: (22) The requested URL returned error: 404');
    expect(ranges).toHaveLength(3);
  });

  it('fails at once where the disk does not take what is written', async () => {
    await listen(serveContent());
    library.program('dd', 'cat >/dev/null; echo "dd: error writing: No space left on device" >&2; exit 1');
    expect(await fetchPart()).toBe('failed: cannot write to SLOT: dd: error writing: No space left on device');
    expect(ranges).toHaveLength(1);
  });
});

describe('kernel and initrd', () => {
  const kernel = Buffer.from('a kernel');
  const initrd = Buffer.from('an initrd');
  const install = `kernel_digest=${digestOf(kernel)} kernel_bytes=${kernel.length}
    initrd_digest=${digestOf(initrd)} initrd_bytes=${initrd.length}
    if install_boot_files; then echo installed; else echo "$outcome: $reason"; fi`;
  const folder = 'boot/muster/2222222222222222';
  const serveBoth: Answer = (request, response) => {
    serveContent(request.url?.includes(digestOf(kernel)) === true ? kernel : initrd)(request, response);
  };

  it('get a folder of their own, and folders that no entry names go', async () => {
    await listen(serveBoth);
    for (const name of ['1111111111111111', '3333333333333333']) library.write(`boot/muster/${name}/linux`, 'x');
    library.write('boot/loader/entries/muster-a.conf', 'linux /muster/1111111111111111/linux\n');
    expect((await library.runBeside(install)).text).toMatch(/\ninstalled\n$/);
    expect(library.list('boot/muster')).toEqual(['1111111111111111', '2222222222222222']);
    expect(library.read(`${folder}/linux`)).toBe('a kernel');
    expect(library.read(`${folder}/initrd`)).toBe('an initrd');
  });

  it('are not fetched where they are there and right, and are where they are not right', async () => {
    await listen(serveBoth);
    library.write(`${folder}/linux`, kernel);
    library.write(`${folder}/initrd`, 'an initrt');
    expect((await library.runBeside(install)).text).toMatch(/\ninstalled\n$/);
    expect(ranges).toEqual([`bytes=0-${initrd.length - 1}`]);
    expect(library.read(`${folder}/initrd`)).toBe('an initrd');
  });

  it('are refused where the boot partition is full, with the numbers', () => {
    library.program('df', 'printf "Filesystem 1024-blocks Used Available\\n/dev/vda1 500 490 10 98%% /boot\\n"');
    expect(library.run(install.replace(/kernel_bytes=\d+/, 'kernel_bytes=20480')).text).toBe(
      'failed: linux has 20480 bytes, the boot partition has 10240 left\n',
    );
  });
});
