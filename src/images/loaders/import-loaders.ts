// Brings the boot loaders of the catalogue into the blob store. Bytes that the catalogue knows count as tested.
import { Readable } from 'node:stream';
import type { Sha256 } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { BlobStore } from '../blob-store.ts';
import { parseDigest, type Digest } from '../digest.ts';
import { parseLoaderCatalogue, type CatalogueLoader, type LoaderRecord } from './loaders.ts';

const LOADER_LIMIT_BYTES = 64 * 1024 * 1024;

export interface LoaderImport {
  /** Text of boot-assets/loaders.yaml. */
  readonly catalogueText: string;
  /** Whole content of an installed file; undefined where there is none. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  readonly blobs: Pick<BlobStore, 'size' | 'put'>;
  readonly sha256: Sha256;
  /** Told of a file that was imported although no tested version has its digest. */
  onUntested(loader: LoaderRecord): void;
}

/**
 * One record for each loader of the catalogue, in its order; quick when all blobs are there already. A file that is not
 * installed is no loss while a tested version is in the store; else AppError('missing-loader') names the package.
 */
export async function importLoaders(parts: LoaderImport): Promise<readonly LoaderRecord[]> {
  const records: LoaderRecord[] = [];
  const missing: CatalogueLoader[] = [];
  for (const loader of parseLoaderCatalogue(parts.catalogueText)) {
    const record = (await fromPackage(loader, parts)) ?? (await fromStore(loader, parts));
    if (record === undefined) missing.push(loader);
    else records.push(record);
    if (record?.tested === false) parts.onUntested(record);
  }
  if (missing.length > 0) throw missingLoaders(missing);
  return records;
}

async function fromPackage(loader: CatalogueLoader, parts: LoaderImport): Promise<LoaderRecord | undefined> {
  const content = await parts.readFile(loader.file);
  if (content === undefined) return undefined;
  const digest = digestOf(parts.sha256(content));
  const known = loader.versions.find(({ sha256 }) => digest === `sha256:${sha256}`);
  if ((await parts.blobs.size(digest)) === undefined) {
    const outcome = await parts.blobs.put(digest, Readable.from([content]), LOADER_LIMIT_BYTES);
    if (outcome.kind !== 'stored' && outcome.kind !== 'exists') {
      throw new AppError('missing-loader', `${loader.file} cannot be stored: ${outcome.kind}.`);
    }
  }
  return recordOf(loader, digest, content.length, known?.version);
}

async function fromStore(loader: CatalogueLoader, parts: LoaderImport): Promise<LoaderRecord | undefined> {
  for (const { version, sha256 } of loader.versions) {
    const digest = digestOf(sha256);
    const sizeBytes = await parts.blobs.size(digest);
    if (sizeBytes !== undefined) return recordOf(loader, digest, sizeBytes, version);
  }
  return undefined;
}

function recordOf(
  loader: CatalogueLoader,
  digest: Digest,
  sizeBytes: number,
  knownVersion: string | undefined,
): LoaderRecord {
  const { name, architecture, licence } = loader;
  const origin = { package: loader.package, version: knownVersion ?? 'unknown', tested: knownVersion !== undefined };
  return { name, architecture, licence, digest, sizeBytes, ...origin };
}

function digestOf(sha256: string): Digest {
  const digest = parseDigest(`sha256:${sha256}`);
  if (digest === undefined) throw new AppError('internal', 'A SHA-256 must be 64 lower-case hex digits.');
  return digest;
}

function missingLoaders(missing: readonly CatalogueLoader[]): AppError {
  const packages = [...new Set(missing.map((loader) => loader.package))].join(' ');
  return new AppError(
    'missing-loader',
    `Boot loaders are not installed: ${missing.map((loader) => loader.file).join(', ')}.\n` +
      `Fix: apt-get install --no-install-recommends ${packages}`,
  );
}
