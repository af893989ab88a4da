// What every source of an import gives: blobs that can be read from any place, and the manifests that name them.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import { parseDigest, type Digest } from '../../images/digest.ts';
import { CliError } from '../cli-error.ts';
import { ProgressLine, type ProgressTools } from '../progress-line.ts';

const READ_BYTES = 1024 * 1024;

/** Bytes that can be read again from any place, whatever they lie in. */
export interface SourceFile {
  readonly sizeBytes: number;
  open(start: number): Readable | Promise<Readable>;
}

export interface SourceBlob extends SourceFile {
  /** `layer 2 of 5`, for the progress. */
  readonly label: string;
  readonly digest: Digest;
}

export interface SourceManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly content: Uint8Array;
}

export interface ImageSource {
  readonly blobs: readonly SourceBlob[];
  readonly manifest: SourceManifest;
  close?(): Promise<void>;
}

/** Files by their paths in a folder or an archive. */
export interface SourceFiles {
  find(path: string): Promise<SourceFile | undefined>;
}

/** A file on disk. Throws CliError for a path that is none. */
export async function fileOnDisk(path: string): Promise<SourceFile> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) throw new CliError('invalid-request', `${path} is not a file.`, 2);
  return part(path, 0, found.size);
}

/** A part of a file on disk, as a file of its own. */
export function part(path: string, offset: number, sizeBytes: number): SourceFile {
  return {
    sizeBytes,
    open: (start) =>
      start >= sizeBytes
        ? Readable.from([])
        : createReadStream(path, {
            start: offset + start,
            end: offset + sizeBytes - 1,
            highWaterMark: READ_BYTES,
          }),
  };
}

export async function readWhole(file: SourceFile, limitBytes: number): Promise<Buffer> {
  if (file.sizeBytes > limitBytes)
    throw new CliError('invalid-request', `A document of the image has more than ${limitBytes} bytes.`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of await file.open(0)) if (chunk instanceof Uint8Array) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Reads the file once for its digest; its true size comes along. */
export async function hashed(
  label: string,
  file: SourceFile,
  tools: ProgressTools & { interrupted: AbortSignal },
): Promise<SourceBlob> {
  const line = new ProgressLine(`hash ${label}`, file.sizeBytes, tools);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of addAbortSignal(tools.interrupted, await file.open(0))) {
    if (!(chunk instanceof Uint8Array)) continue;
    sizeBytes += chunk.length;
    line.show(sizeBytes);
    hash.update(chunk);
  }
  line.end();
  return { open: (start) => file.open(start), sizeBytes, label, digest: digestFromHex(hash.digest('hex')) };
}

/** A document made here, as blob. */
export function documentBlob(label: string, bytes: Uint8Array): SourceBlob {
  return {
    label,
    digest: digestFromHex(createHash('sha256').update(bytes).digest('hex')),
    sizeBytes: bytes.length,
    open: (start) => Readable.from([Buffer.from(bytes.subarray(start))]),
  };
}

export function manifestOf(mediaType: string, document: object): SourceManifest {
  const content = Buffer.from(JSON.stringify(document));
  return { digest: digestFromHex(createHash('sha256').update(content).digest('hex')), mediaType, content };
}

export function notAnImage(what: string, reason: string): CliError {
  return new CliError('invalid-request', `${what} is not an image that can be imported: ${reason}`);
}

function digestFromHex(hex: string): Digest {
  const digest = parseDigest(`sha256:${hex}`);
  if (digest === undefined) throw new CliError('internal', 'A SHA-256 has 64 hex digits.');
  return digest;
}
