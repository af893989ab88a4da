// How the registry of docker:// is reached: where, with which name, trusting whom. As Docker, podman and skopeo do it, so that
// what they can pull can be imported.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RegistryAddress } from '../../registry-client/registry-address.ts';
import type { Credentials } from '../../registry-client/registry-auth.ts';
import { RegistryError } from '../../registry-client/registry-error.ts';
import { systemAuthorities } from '../../registry-client/registry-transport.ts';
import { CliError } from '../cli-error.ts';

/** containers-certs.d(5), and Docker's "Use self-signed certificates". */
const CERTIFICATE_FOLDERS = ['/etc/containers/certs.d', '/etc/docker/certs.d'];
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** To be tried in this order: what does not leave this machine may do without TLS. */
export function urlsOf(host: string): readonly string[] {
  // Docker Hub is known by a name at which there is no registry.
  const real = host === 'docker.io' ? 'registry-1.docker.io' : host;
  return LOOPBACK.test(host) ? [`https://${real}`, `http://${real}`] : [`https://${real}`];
}

/** Throws CliError for what is no `user:password`. */
export function parseCredentials(text: string | undefined): Credentials | undefined {
  if (text === undefined) return undefined;
  const [, username, password] = /^([^:]+):(.+)$/s.exec(text) ?? [];
  if (username !== undefined && password !== undefined) return { username, password };
  throw new CliError('invalid-request', 'These credentials are none.\nFix: write --creds USER:PASSWORD.', 2);
}

/** The authorities that this machine has been told of for this host, beside those for all; undefined where there are none. */
export async function authoritiesFor(host: string): Promise<string | undefined> {
  const found = await Promise.all(CERTIFICATE_FOLDERS.map((folder) => certificatesIn(join(folder, host))));
  const own = found.flat();
  return own.length === 0 ? undefined : [...own, ...systemAuthorities()].join('\n');
}

async function certificatesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return Promise.all(names.filter((name) => name.endsWith('.crt')).map((name) => readFile(join(folder, name), 'utf8')));
}

/** What the person can do about it. */
export function explainFailure(
  error: unknown,
  { host, repository }: RegistryAddress,
  hasCredentials: boolean,
): unknown {
  if (!(error instanceof RegistryError)) return error;
  const fix = fixFor(error, `docker://${host}/${repository}`, host, hasCredentials);
  return new CliError(error.reason, fix === undefined ? error.message : `${error.message}\nFix: ${fix}`, 1, {
    cause: error,
  });
}

function fixFor({ reason }: RegistryError, what: string, host: string, hasCredentials: boolean): string | undefined {
  switch (reason) {
    case 'unauthorised':
      return hasCredentials
        ? 'correct the user name or the password of --creds; the user must be allowed to pull this image.'
        : 'give a user that may pull it: --creds USER:PASSWORD. Where no user is needed, the name may be wrong.';
    case 'untrusted':
      return `put the certificate of its authority at ${CERTIFICATE_FOLDERS[0] ?? ''}/${host}/ca.crt.`;
    case 'no-tls':
      return `skopeo copy --src-tls-verify=false ${what}:TAG oci:FOLDER, then import oci:FOLDER.`;
    case 'unreachable':
      return `correct host and port; curl https://${host}/v2/ must get an answer.`;
    default:
      return undefined;
  }
}
