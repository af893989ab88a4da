// Builds one listener: the plain one that firmware talks to, or the TLS one for agents, administrators and browsers. Wires
// plugins and routes and nothing else; the whole route table is on this screen.
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastify, { LogController, type FastifyBaseLogger } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { Scheduler } from '../clock.ts';
import { AppError } from '../errors.ts';
import { requireAdmin, type AdminAuth } from './auth.ts';
import { createHttpServer, refuseBadRequest, type TlsFiles } from './create-server.ts';
import { handleError, handleNotFound } from './error-handler.ts';
import { parseForm } from './form-body.ts';
import type { HttpApp } from './http-app.ts';
import { limitBodyTime } from './limit-body-time.ts';
import { logRequests } from './request-log.ts';
import { agentRoutes, type AgentRouteParts } from './routes/agent.ts';
import { artifactRoutes, type ArtifactRouteParts } from './routes/artifacts.ts';
import { bootRoutes, type BootRouteParts } from './routes/boot.ts';
import { caRoutes } from './routes/ca.ts';
import { channelRoutes, type ChannelRouteParts } from './routes/channels.ts';
import { enrollRoutes, type EnrollRouteParts } from './routes/enroll.ts';
import { eventRoutes, type EventRouteParts } from './routes/events.ts';
import { healthRoutes, type HealthRouteParts } from './routes/health.ts';
import { imageRoutes, type ImageRouteParts } from './routes/images.ts';
import { loaderRoutes, type LoaderRouteParts } from './routes/loaders.ts';
import { machineRoutes, type MachineRouteParts } from './routes/machines.ts';
import { registryRoutes, type RegistryRouteParts } from './routes/registry.ts';
import { rolloutRoutes, type RolloutRouteParts } from './routes/rollouts.ts';
import { statusRoutes, type StatusRouteParts } from './routes/status.ts';
import { tokenRoutes, type TokenRouteParts } from './routes/tokens.ts';
import { webRoutes, type WebRouteParts } from './routes/web.ts';

/** What both listeners need. `logger` is a pino logger. */
interface SharedParts extends BootRouteParts, HealthRouteParts {
  readonly logger: FastifyBaseLogger;
  readonly scheduler: Scheduler;
  readonly caPem: string;
}

export interface BootHttpParts extends SharedParts, ArtifactRouteParts {
  readonly kind: 'boot';
  /** Where people are sent who open this listener in a browser; asked at each request. */
  apiUrl(): string;
}

export type ApiHttpParts = SharedParts &
  EnrollRouteParts &
  AgentRouteParts &
  MachineRouteParts &
  TokenRouteParts &
  EventRouteParts &
  ImageRouteParts &
  ChannelRouteParts &
  LoaderRouteParts &
  RegistryRouteParts &
  RolloutRouteParts &
  StatusRouteParts &
  WebRouteParts & {
    readonly kind: 'api';
    readonly tls: TlsFiles;
    readonly adminAuth: AdminAuth;
  };

/** How long transfers may go on when the listener closes. Boot loaders try again; a server that hangs helps nobody. */
const CLOSING_MS = 3_000;
const SMALL_BODY_BYTES = 256 * 1024;

/** The listener, ready for `listen()` or `inject()`. Closing it ends live streams first. */
export function buildHttp(parts: BootHttpParts | ApiHttpParts): HttpApp {
  const app = createApp(parts.logger, parts.kind === 'api' ? parts.tls : undefined);
  limitClosingTime(app, parts.scheduler);
  logRequests(app);
  limitBodyTime(app, parts.scheduler);
  healthRoutes(app, parts);
  caRoutes(app, parts);
  bootRoutes(app, parts);
  if (parts.kind === 'boot') {
    artifactRoutes(app, parts);
    app.get('/', (_request, reply) => reply.redirect(parts.apiUrl(), 308));
    return app;
  }
  // Plugins first: their hooks reach only the routes that come after them.
  void app.register((scope: HttpApp, _options, done) => {
    registerPlugins(scope);
    void scope.register(apiListenerRoutes, parts);
    done();
  });
  app.addHook('preClose', (done) => {
    parts.eventStreams.closeAll();
    done();
  });
  return app;
}

function apiListenerRoutes(app: HttpApp, parts: ApiHttpParts, done: () => void): void {
  enrollRoutes(app, parts);
  webRoutes(app, parts);
  void app.register(scopeOf(registryRoutes, parts), { prefix: '/v2' });
  void app.register(scopeOf(agentRoutes, parts), { prefix: '/api/v1/agent' });
  void app.register(scopeOf(adminRoutes, parts), { prefix: '/api/v1' });
  done();
}

function scopeOf(
  routes: (app: HttpApp, parts: ApiHttpParts) => void,
  parts: ApiHttpParts,
): (app: HttpApp, options: unknown, done: () => void) => void {
  return (app, _options, done) => {
    routes(app, parts);
    done();
  };
}

/** All of these need an administrator; the hook stands before every route of this scope. */
function adminRoutes(app: HttpApp, parts: ApiHttpParts): void {
  app.addHook('onRequest', (request, _reply, done) => {
    requireAdmin(request, parts.adminAuth);
    done();
  });
  statusRoutes(app, parts);
  machineRoutes(app, parts);
  tokenRoutes(app, parts);
  eventRoutes(app, parts);
  imageRoutes(app, parts);
  channelRoutes(app, parts);
  rolloutRoutes(app, parts);
  loaderRoutes(app, parts);
}

function limitClosingTime(app: HttpApp, scheduler: Scheduler): void {
  app.addHook('preClose', (done) => {
    const cancel = scheduler.after(CLOSING_MS, () => {
      app.server.closeAllConnections();
    });
    app.server.once('close', cancel);
    done();
  });
}

function createApp(logger: FastifyBaseLogger, tls: TlsFiles | undefined): HttpApp {
  const app: HttpApp = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    serverFactory: (listener) => createHttpServer(listener, tls),
    bodyLimit: SMALL_BODY_BYTES,
    trustProxy: false,
    exposeHeadRoutes: false,
    // iPXE and GRUB double slashes where they join paths; tokens differ by case.
    routerOptions: { ignoreDuplicateSlashes: true, caseSensitive: true, maxParamLength: 300 },
    clientErrorHandler: refuseBadRequest,
    frameworkErrors: (error, request, reply) => void handleError(error, request, reply),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(handleError);
  app.setNotFoundHandler(handleNotFound);
  return app;
}

function registerPlugins(app: HttpApp): void {
  void app.register(cookie);
  void app.register(rateLimit, {
    global: false,
    errorResponseBuilder: (_request, { after }) =>
      new AppError('too-many-requests', `Too many requests; try again in ${after}.`),
  });
  void app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'script-src': ["'self'"],
        'style-src': ["'self'"],
        'img-src': ["'self'"],
        'connect-src': ["'self'"],
        'form-action': ["'self'"],
        'base-uri': ["'none'"],
        'frame-ancestors': ["'none'"],
      },
    },
    // The certificate is the site's own: a browser that was told to insist on it could lock people out.
    strictTransportSecurity: false,
    // With `no-referrer` browsers would send `Origin: null` along with this site's own forms.
    referrerPolicy: { policy: 'same-origin' },
  });
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, parseForm(String(body)));
  });
}
