// What machines boot, by digest: /artifacts/<digest>[/<file name>]. The address stands for these bytes for ever, so any cache in
// front may keep them (RFC 9111; `immutable`: RFC 8246). Who fetches is not known here: nothing goes on record.
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { BlobStore } from '../../images/blob-store.ts';
import type { PublicArtifacts } from '../../images/public-artifacts.ts';
import type { HttpApp } from '../http-app.ts';
import { serveBlob } from '../serve-blob.ts';

export interface ArtifactRouteParts {
  readonly artifacts: Pick<PublicArtifacts, 'find'>;
  readonly blobs: Pick<BlobStore, 'read'>;
  readonly clock: Clock;
}

const CACHEABLE = { 'cache-control': 'public, max-age=31536000, immutable' };
/** The name is for programs that go by endings: live-boot wants `.squashfs`, casper `.iso`. */
const PATH = z.object({
  digest: z.string().min(1).max(150),
  name: z.enum(['vmlinuz', 'initrd.img', 'rootfs.squashfs', 'rootfs.iso']).optional(),
});

export function artifactRoutes(app: HttpApp, parts: ArtifactRouteParts): void {
  for (const url of ['/artifacts/:digest', '/artifacts/:digest/:name']) {
    app.route({
      method: ['GET', 'HEAD'],
      url,
      schema: { params: PATH },
      handler: async (request, reply) => {
        const found = await parts.artifacts.find(request.params.digest);
        if (found === undefined) {
          void reply.header('cache-control', 'no-store').header('content-type', 'text/plain');
          return reply.code(404).send('not-found: there is no such artifact of a boot image\n');
        }
        const resource = { ...found, kind: 'blob', contentType: 'application/octet-stream', onServed } as const;
        await serveBlob(request, reply, resource, { ...parts, now: () => parts.clock.now(), headers: CACHEABLE });
        return reply;
      },
    });
  }
}

function onServed(): void {
  // A cache fetched it, for machines that it does not name.
}
