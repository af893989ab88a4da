// The registry: OCI distribution-spec 1.1 under /v2/, one row for each of its endpoints. Everything that knows the rules of images
// is behind RegistryService; here is what the spec says about HTTP.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { EnrollmentService } from '../../enrollment/enrollment-service.ts';
import { requireRegistryAccess, type AdminAuth } from '../auth.ts';
import { peerAddress, type HttpApp } from '../http-app.ts';
import { deleteBlob, pullBlob } from '../registry-blobs.ts';
import {
  REGISTRY_QUERY,
  REGISTRY_VERSION_HEADER,
  type RegistryCall,
  type RegistryCallParts,
} from '../registry-call.ts';
import { RegistryError } from '../registry-error.ts';
import { listReferrers, listTags } from '../registry-lists.ts';
import { deleteManifest, pullManifest, pushManifest } from '../registry-manifests.ts';
import { parseRegistryPath, type RegistryKind, type RegistryTarget } from '../registry-path.ts';
import { appendChunk, cancelUpload, finishUpload, showUpload, startUpload } from '../registry-uploads.ts';

export interface RegistryRouteParts extends RegistryCallParts {
  readonly adminAuth: AdminAuth;
  readonly enrollmentService: Pick<EnrollmentService, 'identify'>;
  readonly limits: { readonly registryRequestsPerMinute: number };
}

type Method = (typeof METHODS)[number];
type Handler = (call: RegistryCall) => Promise<FastifyReply>;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The table of distribution-spec "Endpoints". */
const ENDPOINTS: Readonly<Record<RegistryKind, Readonly<Partial<Record<Method, Handler>>>>> = {
  base: { GET: showSupport, HEAD: showSupport }, //                               end-1
  blob: { GET: pullBlob, HEAD: pullBlob, DELETE: deleteBlob }, //                 end-2, 10
  manifest: { GET: pullManifest, HEAD: pullManifest, PUT: pushManifest, DELETE: deleteManifest }, // end-3, 7, 9
  uploads: { POST: startUpload }, //                                              end-4, 11
  upload: { PATCH: appendChunk, PUT: finishUpload, GET: showUpload, DELETE: cancelUpload }, // end-5, 6, 13, 14
  tags: { GET: listTags }, //                                                     end-8
  referrers: { GET: listReferrers }, //                                           end-12
  unknown: {},
};

const PATH = z.object({ '*': z.string().optional() });

/** Expects a scope of its own under /v2: it takes every body as a stream. */
export function registryRoutes(app: HttpApp, parts: RegistryRouteParts): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload);
  });
  app.addHook('onRequest', (_request, reply, done) => {
    void reply.headers(REGISTRY_VERSION_HEADER);
    done();
  });
  // After the limit on requests, which is a hook of the route, and before any body.
  app.addHook('preParsing', async (request) => {
    await requireRegistryAccess(request, accessOf(request), parts);
  });
  for (const url of ['', '/*']) {
    app.route({
      method: [...METHODS],
      url,
      schema: { params: PATH, querystring: REGISTRY_QUERY },
      config: {
        slowBody: (request) => ['uploads', 'upload'].includes(targetOf(request).kind),
        rateLimit: { max: parts.limits.registryRequestsPerMinute, timeWindow: 60_000, keyGenerator: peerAddress },
      },
      handler: async (request, reply) => {
        const target = targetOf(request);
        return handlerOf(target, request, reply)({ request, reply, target, query: request.query, parts });
      },
    });
  }
}

/** Pulling is reading what was pushed; an upload is its pusher's own. */
function accessOf(request: FastifyRequest): 'pull' | 'push' {
  const reads = request.method === 'GET' || request.method === 'HEAD';
  return reads && targetOf(request).kind !== 'upload' ? 'pull' : 'push';
}

function targetOf(request: FastifyRequest): RegistryTarget {
  return parseRegistryPath(PATH.parse(request.params)['*'] ?? '');
}

function handlerOf(target: RegistryTarget, request: FastifyRequest, reply: FastifyReply): Handler {
  const methods = ENDPOINTS[target.kind];
  if (target.kind === 'unknown') throw new AppError('not-found', 'The registry has no such endpoint.');
  const method = METHODS.find((each) => each === request.method);
  const handler = method === undefined ? undefined : methods[method];
  if (handler !== undefined) return handler;
  void reply.header('allow', Object.keys(methods).join(', '));
  throw new RegistryError('UNSUPPORTED', `${request.method} is not for this endpoint.`);
}

/** end-1. Whoever gets here has shown a credential: tools log in by asking for it. */
async function showSupport({ reply }: RegistryCall): Promise<FastifyReply> {
  return reply.header('cache-control', 'no-store').send({});
}
