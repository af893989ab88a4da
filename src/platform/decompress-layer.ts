// Opens the blob of a layer as the tar inside it, with Node's zlib. Wrong compressed bytes become CorruptLayerError; a failure
// of the blob itself stays what it is.
import { pipeline, Readable, Transform } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { CorruptLayerError, type LayerCompression } from '../images/flatten/layer-source.ts';
import { ZstdFrameSplitter } from './zstd-frames.ts';

const CHUNK_BYTES = 256 * 1024;

/** 64 MiB: a zstd frame that wants a larger window would take the memory that the whole server has. */
const MAX_ZSTD_WINDOW_LOG = 26;

/** Takes the blob over: it is closed with the stream that comes out. */
export function decompressLayer(blob: Readable, compression: LayerCompression): Readable {
  if (compression === 'none') return blob;
  const tar = Readable.from(decompressed(blob, compression), { objectMode: false, highWaterMark: CHUNK_BYTES });
  // A reader that leaves before its first chunk never enters the generator.
  return tar.once('close', () => blob.destroy());
}

async function* decompressed(blob: Readable, compression: 'gzip' | 'zstd'): AsyncGenerator<Buffer, void> {
  let blobError: Error | undefined;
  blob.once('error', (error) => {
    blobError = error;
  });
  const chunks: AsyncIterable<Buffer> = compression === 'gzip' ? gunzip(blob) : unzstd(blob);
  try {
    yield* chunks;
  } catch (error) {
    if (blobError !== undefined || !isFormatError(error)) throw blobError ?? error;
    throw new CorruptLayerError(`A layer does not decompress: ${error.message}`, { cause: error });
  }
}

function gunzip(blob: Readable): Readable {
  return pipeline(blob, createGunzip({ chunkSize: CHUNK_BYTES }), errorsComeFromReading);
}

function unzstd(blob: Readable): Readable {
  const splitter = new ZstdFrameSplitter();
  const frames = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (const piece of splitter.push(chunk)) this.push(piece);
      done();
    },
    // The pieces must not grow together again on their way.
    readableObjectMode: true,
  });
  const params = { [constants.ZSTD_d_windowLogMax]: MAX_ZSTD_WINDOW_LOG };
  return pipeline(blob, frames, createZstdDecompress({ chunkSize: CHUNK_BYTES, params }), errorsComeFromReading);
}

function errorsComeFromReading(): void {
  // pipeline() wants a callback; whoever reads the last stream gets the same error.
}

/** `Z_DATA_ERROR`, `Z_BUF_ERROR` (the end is missing), `ZSTD_error_…` (node:zlib, "Error codes"). */
function isFormatError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^Z(?:STD)?_/.test(error.code);
}
