// A registry and the channels' API on a socket, over memory stores, and the commands that sign, verify and promote: the way of a
// release from the signer's machine to the server.
import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { Command } from 'commander';
import type { AddressInfo } from 'node:net';
import { ApiClient } from '../../src/cli/api-client.ts';
import { addChannelsCommand } from '../../src/cli/channels-command.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import type { CommandTools } from '../../src/cli/command-tools.ts';
import { addSignatureCommands } from '../../src/cli/signatures-command.ts';
import { PLAIN } from '../../src/cli/style.ts';
import type { NewBootEvent } from '../../src/events/boot-event.ts';
import { handleError } from '../../src/http/error-handler.ts';
import type { HttpApp } from '../../src/http/http-app.ts';
import { channelRoutes } from '../../src/http/routes/channels.ts';
import { registryRoutes } from '../../src/http/routes/registry.ts';
import { WebSessions } from '../../src/http/web-sessions.ts';
import { ChannelService } from '../../src/images/channels/channel-service.ts';
import type { SigningKey } from '../../src/images/trust/signature.ts';
import { StoredSignatures } from '../../src/images/trust/signature-stored-source.ts';
import { SignatureTrust } from '../../src/images/trust/signature-trust.ts';
import type { TrustRequirements } from '../../src/images/trust/trust-policy.ts';
import { SystemClock, SystemRandom, SystemScheduler } from '../../src/platform/clock.ts';
import { MemoryChannelStore } from '../../src/storage/memory/memory-channel-store.ts';
import { RegistryHttp } from './registry-http.ts';
import { aMemoryRegistry } from './registry-world.ts';

export const TOKEN = 'the-admin-token';
const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` };

export async function aTrustWorld(keys: readonly SigningKey[], requirements: TrustRequirements, folder: string) {
  const clock = new SystemClock();
  const { registry, store, blobs } = aMemoryRegistry(clock);
  const trust = new SignatureTrust({ source: new StoredSignatures(store, blobs), keys, requirements });
  const events: NewBootEvent[] = [];
  const record = (event: NewBootEvent) => Promise.resolve(void events.push(event));
  const channelStore = new MemoryChannelStore();
  const parts = {
    store: channelStore,
    registry: store,
    collection: registry,
    trust,
    events: { recordNow: record },
    clock,
  };
  const channels = new ChannelService(parts);

  const app: HttpApp = fastify();
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler).setErrorHandler(handleError);
  const adminAuth = {
    verifyAdminToken: (token: string) => token === TOKEN,
    sessions: new WebSessions({ clock, random: new SystemRandom() }),
  };
  const enrollmentService = { identify: () => Promise.resolve({ kind: 'refused', code: 'unauthorised' } as const) };
  const registryParts = { registry, blobs, clock, adminAuth, enrollmentService };
  const limits = { registryRequestsPerMinute: 10_000 };
  mount(app, '/v2', (scope) => {
    registryRoutes(scope, { ...registryParts, limits });
  });
  mount(app, '/api/v1', (scope) => {
    channelRoutes(scope, { channels, signatureTrust: trust });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;

  return {
    ...{ app, port, events, store, blobs, trust, channelStore },
    http: new RegistryHttp(app, AUTHORIZATION),
    run: (...words: string[]) => run(words, `http://127.0.0.1:${port}`, folder),
    close: () => app.close(),
  };
}

function mount(app: HttpApp, prefix: string, routes: (scope: HttpApp) => void): void {
  const plugin = (scope: HttpApp, _options: unknown, done: () => void) => {
    routes(scope);
    done();
  };
  void app.register(plugin, { prefix });
}

/** `muster images WORDS`, in this process; a failure's code and message instead of its output. */
async function run(words: readonly string[], url: string, folder: string): Promise<string> {
  const texts: string[] = [];
  const output = { isTerminal: false, columns: 80, write: (text: string) => void texts.push(text) };
  const environment = { MUSTER_URL: url, MUSTER_TOKEN: TOKEN };
  const interrupted = new AbortController().signal;
  const api = new ApiClient({ url, token: TOKEN, ca: undefined }, interrupted);
  const surroundings = { environment, workingDirectory: folder, baseDirectory: folder, interrupted };
  const tools: CommandTools = {
    ...{ clock: new SystemClock(), scheduler: new SystemScheduler(), style: PLAIN, errorStyle: PLAIN },
    ...{ output, errors: output, ...surroundings },
    isJson: () => words.includes('--json'),
    settings: () => Promise.reject(new Error('no settings are needed here')),
    api: () => Promise.resolve(api),
    show: (answer, forPeople) => {
      output.write(words.includes('--json') ? JSON.stringify(answer) : forPeople());
    },
  };
  const images = new Command('images').exitOverride();
  addSignatureCommands(images, tools);
  addChannelsCommand(images, tools);
  try {
    await images.parseAsync(
      words.filter((word) => word !== '--json'),
      { from: 'user' },
    );
    return texts.join('');
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return `${texts.join('')}${error.code}: ${error.message}`;
  } finally {
    await api.close();
  }
}
