// What the lab has built, kept between runs under the digest of the recipe it was built from. Two runs at once build once, and
// what nobody uses any more goes.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const KEPT = 2;
const ABANDONED_AFTER_MILLISECONDS = 3_600_000;
/** Images, bases of images, and images as containers: each kind has its own places. */
const FORMS = [/^[0-9a-f]{64}$/, /^base-[0-9a-f]{64}$/, /^container-[0-9a-f]{64}$/];

export function labCacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'muster/lab');
}

export interface RecipeRun {
  /** What is built, for messages. */
  readonly what: string;
  /** Words of a shell script; the path of the log is added as the last. */
  readonly script: readonly string[];
  readonly cacheDirectory: string;
  readonly onProgress: (line: string) => void;
}

/** The lock is flock's, which the kernel drops with its process: a killed run locks nobody out. */
export async function runRecipe({ what, script, cacheDirectory, onProgress }: RecipeRun): Promise<void> {
  const log = join(cacheDirectory, 'build.log');
  const started = Date.now();
  const child = spawn('flock', [join(cacheDirectory, 'lock'), 'sh', ...script, log], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    onProgress(`${what}, ${Math.round((Date.now() - started) / 1000)} s: ${line}`);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) {
    const said = await readFile(log, 'utf8').catch(() => '');
    throw new Error(`the ${what} was not built (${log}):\n${said.trimEnd().split('\n').slice(-15).join('\n')}`);
  }
  onProgress(`${what}, ${Math.round((Date.now() - started) / 1000)} s: ready`);
}

export async function digestOf(project: string, names: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const name of names) hash.update(`${name}\0`).update(await readFile(join(project, name)));
  return hash.digest('hex');
}

/** Of each kind the two that were used last stay; so do the unfinished ones, while somebody may be at work. */
export async function removeOld(cacheDirectory: string, used: readonly string[]): Promise<void> {
  const now = new Date();
  for (const path of used) if (existsSync(path)) await utimes(path, now, now);
  const found = (await readdir(cacheDirectory)).map(async (name) => {
    const path = join(cacheDirectory, name);
    // Another run may rename or remove what was there a moment ago.
    const stats = await stat(path).catch(() => undefined);
    return stats === undefined ? [] : [{ name, path, usedAt: stats.mtimeMs }];
  });
  const entries = (await Promise.all(found)).flat();
  entries.sort((one, other) => other.usedAt - one.usedAt);
  const finished = FORMS.flatMap((form) => entries.filter(({ name }) => form.test(name)).slice(KEPT));
  const abandoned = entries.filter(
    ({ name, usedAt }) => name.includes('.tmp.') && now.getTime() - usedAt > ABANDONED_AFTER_MILLISECONDS,
  );
  for (const { path } of [...finished, ...abandoned]) await rm(path, { recursive: true, force: true });
}
