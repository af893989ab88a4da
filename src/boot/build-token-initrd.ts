// The initrd that carries the enrollment token into the booted system: a gzipped cpio archive of the form "newc", which the
// kernel unpacks over the image's own initrd (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). Pure.
import { gzipSync } from 'node:zlib';

/** systemd-tmpfiles copies the token to /run, the one place that outlives the switch to the real root (tmpfiles.d(5)). */
const TMPFILES_CONF = 'd /run/muster 0700 root root -\nC /run/muster/token 0600 root root - /muster/token\n';

const DIRECTORY = 0o040_000;
const REGULAR_FILE = 0o100_000;

/** A file, root's own, that everybody may read. */
export interface InitrdFile {
  /** Without a leading slash. Below `muster` or `usr/lib`, never through a symbolic link of some initrd. */
  readonly path: string;
  readonly content: string | Uint8Array;
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly content?: string | Uint8Array;
}

/**
 * The archive, the same bytes for the same token and files. Every parent is an entry of its own, for the kernel makes none.
 * Nothing goes to /lib or to usr/lib/dracut/hooks: each is a symbolic link in some initrds, and a directory entry would replace
 * it.
 */
export function buildTokenInitrd(token: string, files: readonly InitrdFile[] = []): Uint8Array {
  const entries: Entry[] = [
    { name: 'muster', mode: DIRECTORY | 0o700 },
    { name: 'muster/token', mode: REGULAR_FILE | 0o600, content: `${token}\n` },
    { name: 'usr', mode: DIRECTORY | 0o755 },
    { name: 'usr/lib', mode: DIRECTORY | 0o755 },
    { name: 'usr/lib/tmpfiles.d', mode: DIRECTORY | 0o755 },
    { name: 'usr/lib/tmpfiles.d/muster.conf', mode: REGULAR_FILE | 0o644, content: TMPFILES_CONF },
  ];
  for (const file of files) addFile(entries, file);
  const parts = entries.flatMap((entry, index) => encodeEntry(entry, index + 1));
  return gzipSync(Buffer.concat([...parts, ...encodeEntry({ name: 'TRAILER!!!', mode: 0 }, 0)]), { level: 9 });
}

function addFile(entries: Entry[], { path, content }: InitrdFile): void {
  const parts = path.split('/');
  for (let depth = 1; depth < parts.length; depth += 1) {
    const name = parts.slice(0, depth).join('/');
    if (!entries.some((entry) => entry.name === name)) entries.push({ name, mode: DIRECTORY | 0o755 });
  }
  entries.push({ name: path, mode: REGULAR_FILE | 0o644, content });
}

/** Header of 13 fields of 8 hex digits, name, content; name and content padded to 4 bytes. Owner root, time 0. */
function encodeEntry(entry: Entry, inode: number): Buffer[] {
  const name = Buffer.from(`${entry.name}\0`);
  const content = Buffer.from(entry.content ?? '');
  const [uid, gid, links, mtime, device, check] = [0, 0, 1, 0, 0, 0];
  const fields = [
    inode,
    entry.mode,
    uid,
    gid,
    links,
    mtime,
    content.length,
    device,
    device,
    device,
    device,
    name.length,
    check,
  ];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [padded(Buffer.concat([header, name])), padded(content)];
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
