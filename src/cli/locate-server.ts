// Where the server is and how to be let in: from the environment, else from the data folder of a server on this machine.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { LoadedSettings } from '../settings/load-settings.ts';
import type { Environment } from '../settings/parse-settings.ts';
import { CliError } from './cli-error.ts';

export interface ServerLocation {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string;
  /** PEM of the CA that the server's certificate must come from; undefined for plain HTTP. */
  readonly ca: string | undefined;
}

/** Reads the settings only where the environment leaves something open. Throws CliError with what to set. */
export async function locateServer(
  environment: Environment,
  workingDirectory: string,
  settings: () => Promise<LoadedSettings>,
): Promise<ServerLocation> {
  const given = (name: string) => (environment[name] === '' ? undefined : environment[name]);
  const fileOf = async (variable: string, standardName: string) => {
    const named = given(variable);
    if (named !== undefined) return resolve(workingDirectory, named);
    return join((await settings()).settings.dataDirectory, standardName);
  };
  const url = given('MUSTER_URL') ?? `https://127.0.0.1:${(await settings()).settings.api.port}`;
  checkUrl(url);
  const token = given('MUSTER_TOKEN') ?? (await readText(await fileOf('MUSTER_TOKEN_FILE', 'admin-token'), 'TOKEN'));
  const ca = url.startsWith('https:') ? await readText(await fileOf('MUSTER_CA_FILE', 'ca.pem'), 'CA') : undefined;
  return { url: url.replace(/\/+$/, ''), token: token.trim(), ca };
}

function checkUrl(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new CliError(
    'invalid-settings',
    `MUSTER_URL is ${JSON.stringify(url)}, but must be like https://192.0.2.10:8443.`,
    2,
  );
}

async function readText(path: string, what: 'TOKEN' | 'CA'): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const name = what === 'TOKEN' ? 'admin token' : 'CA certificate of the server';
    const variables = what === 'TOKEN' ? 'MUSTER_TOKEN or MUSTER_TOKEN_FILE' : 'MUSTER_CA_FILE';
    const reason =
      code === 'ENOENT'
        ? 'Has Muster been started here? It makes this file at its first start.'
        : `It cannot be read (${code}): run this as Muster's user.`;
    throw new CliError('unauthorised', `The ${name} is not at ${path}.\n${reason}\nElsewhere, set ${variables}.`, 2, {
      cause,
    });
  }
}
