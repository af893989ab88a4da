// Random layers, applied by the product and by a naive model: a flat map of paths that is changed as a runtime changes a disk.
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanLayers } from '../../src/images/flatten/scan-layers.ts';
import { writeTree } from '../../src/images/flatten/write-tree.ts';
import {
  aDirectory,
  aFile,
  aHardLink,
  aSymlink,
  layerOf,
  rawTar,
  readTar,
  type RawEntry,
} from '../support/layer-builders.ts';

type Operation =
  | { readonly do: 'file' | 'directory' | 'hide' | 'clear'; readonly path: string; readonly mark: number }
  | { readonly do: 'symlink' | 'link'; readonly path: string; readonly target: string; readonly mark: number };

// Few names, and one of them often, so that layers meet each other.
const name = fc.constantFrom('a', 'a', 'a', 'b', 'c');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const symlinkTarget = fc.oneof(
  path,
  path.map((to) => `/${to}`),
  fc.constantFrom('.', '..', '/', '../a', '../../b/c', 'a/..'),
);
const mark = fc.integer({ min: 1, max: 999 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('file' as const), path, mark }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('directory' as const), path, mark }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('hide' as const, 'clear' as const), path, mark }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('symlink' as const), path, target: symlinkTarget, mark }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('link' as const), path, target: path, mark }) },
);
const layers = fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 4 });

interface ModelNode {
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly text: string;
}

/** Thrown where a runtime would give up. */
class Refused extends Error {}

class Model {
  /** `/a/b` → what is there; the same object under two paths is one inode. */
  readonly nodes = new Map<string, ModelNode>();
  private upper = new Set<string>();

  apply(operations: readonly Operation[]): void {
    this.upper = new Set();
    for (const each of operations) this.applyOne(each);
  }

  private applyOne(each: Operation): void {
    const names = each.path.split('/');
    const last = names.pop() ?? '';
    switch (each.do) {
      case 'hide':
        this.removeLower(`${this.follow(names) ?? '/nowhere'}/${last}`);
        return;
      case 'clear': {
        const directory = this.follow([...names, last]);
        if (directory !== undefined && this.kindOf(directory) === 'directory') this.removeBelow(directory);
        return;
      }
      case 'link': {
        const targetNames = each.target.split('/');
        const targetLast = targetNames.pop() ?? '';
        const parent = this.follow(targetNames, true);
        const target = parent === undefined ? undefined : this.nodes.get(`${parent}/${targetLast}`);
        if (target === undefined || target.kind === 'directory') throw new Refused();
        this.replace(`${this.make(names)}/${last}`, target);
        return;
      }
      case 'directory': {
        const at = `${this.make(names)}/${last}`;
        const node: ModelNode = { kind: 'directory', text: String(each.mark) };
        if (this.nodes.get(at)?.kind === 'directory') this.nodes.set(at, node);
        else this.replace(at, node);
        this.touch(at);
        return;
      }
      case 'file':
        this.replace(`${this.make(names)}/${last}`, { kind: 'file', text: 'x'.repeat(each.mark) });
        return;
      case 'symlink':
        this.replace(`${this.make(names)}/${last}`, { kind: 'symlink', text: each.target });
    }
  }

  private kindOf(at: string): ModelNode['kind'] | undefined {
    return at === '' ? 'directory' : this.nodes.get(at)?.kind;
  }

  private replace(at: string, node: ModelNode): void {
    this.remove(at);
    this.nodes.set(at, node);
    this.touch(at);
  }

  private touch(at: string): void {
    for (let path = at; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) this.upper.add(path);
  }

  private remove(at: string): void {
    for (const path of [...this.nodes.keys()]) {
      if (path !== at && !path.startsWith(`${at}/`)) continue;
      this.nodes.delete(path);
      this.upper.delete(path);
    }
  }

  private removeLower(at: string): void {
    if (!this.upper.has(at)) this.remove(at);
    else this.removeBelow(at);
  }

  private removeBelow(directory: string): void {
    for (const path of [...this.nodes.keys()]) {
      if (path.startsWith(`${directory}/`) && !this.upper.has(path)) this.nodes.delete(path);
    }
  }

  /** Where the names lead; undefined where that is nothing. A loop is a refusal where links or files are made. */
  private follow(names: readonly string[], strict = false): string | undefined {
    return this.walk('', names, { left: 40 }, (at) => (this.nodes.has(at) ? 'go on' : 'stop'), strict);
  }

  /** As follow, but makes the directories that are missing. */
  private make(names: readonly string[]): string {
    const made = this.walk(
      '',
      names,
      { left: 40 },
      (at) => {
        if (!this.nodes.has(at)) {
          this.nodes.set(at, { kind: 'directory', text: 'implied' });
          this.touch(at);
        }
        return 'go on';
      },
      true,
    );
    if (made === undefined || this.kindOf(made) !== 'directory') throw new Refused();
    return made;
  }

  private walk(
    from: string,
    names: readonly string[],
    links: { left: number },
    visit: (at: string) => 'go on' | 'stop',
    strict: boolean,
  ): string | undefined {
    const [name, ...rest] = names;
    if (name === undefined) return from;
    if (this.kindOf(from) !== 'directory') return undefined;
    if (name === '' || name === '.') return this.walk(from, rest, links, visit, strict);
    if (name === '..') {
      // Only a symbolic link leads here: who goes through it means to leave.
      if (from === '') throw new Refused();
      return this.walk(from.slice(0, from.lastIndexOf('/')), rest, links, visit, strict);
    }
    const at = `${from}/${name}`;
    if (visit(at) === 'stop') return undefined;
    const node = this.nodes.get(at);
    if (node?.kind !== 'symlink') return this.walk(at, rest, links, visit, strict);
    links.left -= 1;
    if (links.left < 0) {
      if (strict) throw new Refused();
      return undefined;
    }
    const start = node.text.startsWith('/') ? '' : from;
    return this.walk(start, [...node.text.split('/'), ...rest], links, visit, strict);
  }
}

function entryOf(each: Operation): RawEntry {
  switch (each.do) {
    case 'file':
      return aFile(each.path, 'x'.repeat(each.mark));
    case 'directory':
      return aDirectory(each.path, { uid: each.mark });
    case 'hide':
      return aFile(each.path.replace(/[^/]+$/, '.wh.$&'));
    case 'clear':
      return aFile(`${each.path}/.wh..wh..opq`);
    case 'symlink':
      return aSymlink(each.path, each.target);
    case 'link':
      return aHardLink(each.path, each.target);
  }
}

/** Every path with what it is, and a number for each inode, by its first path. */
function modelLines(model: Model): string[] {
  const firstPaths = new Map<ModelNode, string>();
  const paths = [...model.nodes.keys()].sort();
  return paths.map((at) => {
    const node = model.nodes.get(at)!;
    const first = firstPaths.get(node) ?? at;
    firstPaths.set(node, first);
    const text = node.kind === 'file' ? String(node.text.length) : node.text;
    return `${at} ${node.kind} ${text} ${node.kind === 'directory' ? '' : first}`;
  });
}

function tarLines(tar: Buffer): string[] {
  const inodes = new Map<string, { kind: string; text: string; paths: string[] }>();
  for (const entry of readTar(tar)) {
    const at = `/${entry.name}`;
    if (entry.type === '1') {
      const inode = inodes.get(`/${entry.link}`)!;
      inode.paths.push(at);
      inodes.set(at, inode);
    } else if (entry.type === '5') {
      inodes.set(at, { kind: 'directory', text: entry.uid === 0 ? 'implied' : String(entry.uid), paths: [] });
    } else if (entry.type === '2') {
      inodes.set(at, { kind: 'symlink', text: entry.link, paths: [at] });
    } else {
      inodes.set(at, { kind: 'file', text: String(entry.content.length), paths: [at] });
    }
  }
  return [...inodes.keys()].sort().map((at) => {
    const { kind, text, paths } = inodes.get(at)!;
    return `${at} ${kind} ${text} ${[...paths].sort()[0] ?? ''}`;
  });
}

describe('flattening', () => {
  it('gives what a naive model of unpacking gives, or refuses where that gives up', async () => {
    let trees = 0;
    await fc.assert(
      fc.asyncProperty(layers, fc.integer({ min: 1, max: 2000 }), async (operations, pieceBytes) => {
        const model = new Model();
        let refused = false;
        try {
          for (const layer of operations) model.apply(layer);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          refused = true;
        }
        const sources = operations.map((layer) => layerOf(rawTar(...layer.map(entryOf)), pieceBytes));
        const outcome = await scanLayers(sources);
        expect(outcome.kind, JSON.stringify(outcome, ['kind', 'reason', 'detail'])).toBe(refused ? 'refused' : 'tree');
        if (outcome.kind === 'refused') return;
        trees += 1;
        expect(tarLines(await buffer(writeTree(outcome.tree, sources)))).toEqual(modelLines(model));
      }),
      { numRuns: 3000 },
    );
    expect(trees).toBeGreaterThan(400);
  });
});
