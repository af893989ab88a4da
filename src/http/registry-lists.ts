// What a repository has, over HTTP: end-8 and end-12 of the distribution-spec.
import type { FastifyReply } from 'fastify';
import type { ManifestRecord } from '../images/registry/registry-store.ts';
import { nextLink, type RegistryCall } from './registry-call.ts';
import { refusalError } from './registry-error.ts';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

/** end-8. `n=0` is an empty list without a Link ("Listing Tags"). */
export async function listTags({ reply, target, query, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository } = target;
  const { n, last } = query;
  const page = await parts.registry.listTags(repository, {
    ...(last !== undefined && { after: last }),
    ...(n !== undefined && { limit: n }),
  });
  if (page.kind === 'refused') throw refusalError(page);
  if (page.next !== undefined) {
    const limit = { ...(n !== undefined && { n: String(n) }) };
    void reply.header('link', nextLink(`/v2/${repository}/tags/list`, { ...limit, last: page.next }));
  }
  return reply.header('cache-control', 'no-cache').send({ name: repository, tags: page.items });
}

/** end-12: never 404, so that clients know the API is there and do not fall back to tags. */
export async function listReferrers({ reply, target, query, parts }: RegistryCall): Promise<FastifyReply> {
  const { repository, reference: subject } = target;
  // An empty filter is none.
  const filter = { ...(query.artifactType && { artifactType: query.artifactType }) };
  const page = await parts.registry.referrers(repository, subject, {
    ...filter,
    ...(query.last !== undefined && { after: query.last }),
  });
  if (page.kind === 'refused') throw refusalError(page);
  if (filter.artifactType !== undefined) void reply.header('oci-filters-applied', 'artifactType');
  if (page.next !== undefined) {
    void reply.header('link', nextLink(`/v2/${repository}/referrers/${subject}`, { ...filter, last: page.next }));
  }
  const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: page.items.map(descriptorOf) };
  // As bytes: to text fastify would add a charset, which this type does not have.
  return reply
    .header('content-type', INDEX_TYPE)
    .header('cache-control', 'no-cache')
    .send(Buffer.from(JSON.stringify(index)));
}

function descriptorOf({ mediaType, digest, sizeBytes, artifactType, annotations }: ManifestRecord): object {
  return {
    mediaType,
    digest,
    size: sizeBytes,
    ...(artifactType !== undefined && { artifactType }),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
}
