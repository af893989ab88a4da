// Muster's conversion of one image in a process of its own, for measuring: from an OCI layout to squashfs and boot manifest.
// Usage: image-conversion-process.ts <layout>
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { parseDigest } from '../../src/images/digest.ts';
import { returnFreeMemory } from '../../src/platform/return-memory.ts';
import { openConversionWorld } from '../support/conversion-world.ts';

const [layout = '.'] = process.argv.slice(2);
const descriptor = z.object({ digest: z.string().transform((text) => parseDigest(text)!), mediaType: z.string() });
const fileOf = (digest: string): string => path.join(layout, 'blobs', digest.replace(':', '/'));
const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, 'utf8')) as unknown;

returnFreeMemory();
await using world = await openConversionWorld();
const index = z.object({ manifests: z.tuple([descriptor]) }).parse(await readJson(path.join(layout, 'index.json')));
const [{ digest, mediaType }] = index.manifests;
const { config, layers } = z
  .object({ config: descriptor, layers: z.array(descriptor) })
  .parse(await readJson(fileOf(digest)));
// The push is timed as well: the peers' `skopeo copy` copies the same blobs.
for (const blob of [config, ...layers]) {
  await world.blobs.put(blob.digest, createReadStream(fileOf(blob.digest)), Number.MAX_SAFE_INTEGER);
  await world.store.linkBlob('bench', blob.digest, 0);
}
const bytes = await readFile(fileOf(digest));
await world.registry.putManifest({ repository: 'bench', reference: 'latest', bytes, mediaType });
world.conversions.start();
await world.conversions.idle();
const [conversion] = await world.conversions.list();
if (conversion?.state !== 'ready') throw new Error(`not converted: ${JSON.stringify(conversion)}`);
