// Brings a file into the server's blob store: hash it, ask whether it is there, send it if not.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';
import { countBytes } from './count-bytes.ts';

const READ_BYTES = 1024 * 1024;

/** Returns the digest, `sha256:…`. Throws CliError for a path that is no file. */
export async function uploadFile(
  { name, path }: { readonly name: string; readonly path: string },
  api: ApiClient,
  tools: CommandTools,
): Promise<string> {
  const sizeBytes = await sizeOf(path);
  const hash = createHash('sha256');
  const counter = countBytes(`hash ${name}`, sizeBytes, tools);
  await pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), counter, hash, { signal: tools.interrupted });
  const digest = `sha256:${hash.digest('hex')}`;
  const blob = `/blobs/${digest}`;
  if (await api.exists(blob)) {
    if (!tools.isJson())
      tools.errors.write(`  ${`send ${name}`.padEnd(18)} ${tools.errorStyle.faint('is there already')}\n`);
    return digest;
  }
  const content = countBytes(`send ${name}`, sizeBytes, tools);
  // A failure of either side reaches the other; the one that matters to a person is the upload's.
  const reading = pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), content).catch(() => undefined);
  await api.upload({ path: blob, content, sizeBytes });
  await reading;
  return digest;
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return found.size;
  throw new CliError('invalid-request', `${path} is not a file.`, 2);
}
