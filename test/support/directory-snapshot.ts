// A directory on disk as lines of text: everything that a file system says about each name, so that two trees can be compared.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join, relative } from 'node:path';

const GETFATTR = 'getfattr';

/** One line for each name below the directory: type, mode, owner, contents, time (not of directories), links, attributes. */
export function snapshotDirectory(root: string): string[] {
  const attributes = attributesOf(root);
  const firstNames = new Map<number, string>();
  const lines: string[] = [];
  for (const path of readdirSync(root, { recursive: true, encoding: 'latin1' }).sort()) {
    const full = join(root, Buffer.from(path, 'latin1').toString());
    const stats = lstatSync(full);
    const first = firstNames.get(stats.ino) ?? path;
    firstNames.set(stats.ino, first);
    const time = stats.isDirectory() ? '' : `@${Math.floor(stats.mtimeMs / 1000)}`;
    const owner = `${stats.uid}:${stats.gid}`;
    const inode = first === path ? '' : `=${first}`;
    lines.push(
      [path, stats.mode.toString(8), owner, time, contentOf(full, stats), inode, attributes.get(path) ?? ''].join(' '),
    );
  }
  return lines;
}

function contentOf(path: string, stats: Stats): string {
  if (stats.isSymbolicLink()) return `→${readlinkSync(path)}`;
  if (stats.isFile())
    return `${stats.size}:${createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16)}`;
  return stats.isDirectory() || stats.isFIFO() ? '' : `rdev ${stats.rdev}`;
}

/** Attributes of all files that have some, in hexadecimal. */
function attributesOf(root: string): Map<string, string> {
  const dump = execFileSync(
    GETFATTR,
    ['-R', '-P', '-h', '-d', '-m', '^(user|trusted|security)\\.', '-e', 'hex', '--absolute-names', root],
    {
      encoding: 'latin1',
    },
  );
  const found = new Map<string, string>();
  for (const part of dump.split('\n\n')) {
    const [heading = '', ...values] = part.split('\n');
    found.set(relative(root, heading.replace('# file: ', '')), values.sort().join(';'));
  }
  return found;
}
