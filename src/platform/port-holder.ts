// Which program holds a port: read from /proc, so that "address already in use" comes with a name. Linux only, best effort:
// a process of another user stays unnamed unless we are root.
import { readFile, readdir, readlink } from 'node:fs/promises';

export interface PortHolder {
  readonly pid: number;
  readonly command: string;
}

const TCP_LISTEN = '0A';

/** The program that listens on a port, at any address; undefined where nobody does or the kernel does not tell. */
export async function findPortHolder(protocol: 'udp' | 'tcp', port: number): Promise<PortHolder | undefined> {
  const tables = await Promise.all([readTable(`/proc/net/${protocol}`), readTable(`/proc/net/${protocol}6`)]);
  const inodes = new Set(tables.flatMap((table) => socketInodes(table, protocol, port)));
  if (inodes.size === 0) return undefined;
  for (const entry of await list('/proc')) {
    if (/^[0-9]+$/.test(entry) && (await holdsOneOf(entry, inodes))) {
      return { pid: Number(entry), command: await commandOf(entry) };
    }
  }
  return undefined;
}

/** The program and its first argument: the thread's name (comm) of a Node process is "MainThread". Long ones are cut. */
async function commandOf(pid: string): Promise<string> {
  const words = (await readTable(`/proc/${pid}/cmdline`)).split('\0').filter((word) => word !== '');
  if (words.length === 0) return (await readTable(`/proc/${pid}/comm`)).trim() || 'unknown';
  return words.slice(0, 2).join(' ').slice(0, 100);
}

/** Columns of /proc/net/udp and tcp (proc(5)): number, local address:port in hex, remote, state, …, inode as the tenth. */
function socketInodes(table: string, protocol: 'udp' | 'tcp', port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(wanted) === true && (protocol === 'udp' || state === TCP_LISTEN))
    .map((columns) => columns[9])
    .filter((inode) => inode !== undefined);
}

async function holdsOneOf(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  for (const descriptor of await list(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    const inode = /^socket:\[([0-9]+)\]$/.exec(target)?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}

// Processes end while they are looked at, and those of others cannot be read: both count as empty.
function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

function readTable(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
