// Speaks with the server's registry as any container tool does, with the admin token as the password.
import { RegistryClient } from '../registry-client/registry-client.ts';
import { RegistryError } from '../registry-client/registry-error.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { locateServer } from './locate-server.ts';

/** Throws CliError for what the registry has against it; `host` is what images of it are called by elsewhere. */
export async function withRegistry<T>(
  tools: CommandTools,
  action: (client: RegistryClient, host: string) => Promise<T>,
): Promise<T> {
  const server = await locateServer(tools.environment, tools.workingDirectory, () => tools.settings());
  const client = new RegistryClient({
    url: server.url,
    credentials: { username: 'muster', password: server.token },
    ...(server.ca === undefined ? {} : { caPem: server.ca }),
    clock: tools.clock,
    scheduler: tools.scheduler,
    signal: tools.interrupted,
  });
  try {
    return await action(client, new URL(server.url).host);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw new CliError(error.reason, error.message, 1, { cause: error });
  } finally {
    await client.close();
  }
}
