// A root file system in a folder, as an image of one layer. The tar is made by GNU tar, because Node knows no extended
// attributes; it is made twice, for its digest and on the way, and never stored.
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { Transform, type Readable } from 'node:stream';
import { OCI_MANIFEST_TYPE } from '../../images/registry/oci-manifest.ts';
import type { Platform } from '../../images/os-image.ts';
import { CliError } from '../cli-error.ts';
import type { ProgressTools } from '../progress-line.ts';
import { documentBlob, hashed, manifestOf, type ImageSource } from './image-source.ts';

/** Reproducible as far as the folder is: sorted, without the times that reading changes and without the program's number. */
const TAR_WORDS = [
  ...['--create', '--file=-', '--format=posix', '--sort=name', '--numeric-owner', '--xattrs', '--one-file-system'],
  '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
];

export async function openFolder(
  folder: string,
  platform: Platform,
  tools: ProgressTools & { interrupted: AbortSignal },
): Promise<ImageSource> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() !== true) throw new CliError('invalid-request', `${folder} is not a folder.`, 2);
  // How long the tar is nobody knows before it was made once.
  const layer = await hashed('layer', { sizeBytes: 0, open: (start) => tarOf(folder, start) }, tools);
  const { os, architecture, variant } = platform;
  const config = documentBlob(
    'config',
    Buffer.from(
      JSON.stringify({ architecture, os, variant, config: {}, rootfs: { type: 'layers', diff_ids: [layer.digest] } }),
    ),
  );
  const manifest = manifestOf(OCI_MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.sizeBytes },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer.digest, size: layer.sizeBytes }],
  });
  return { manifest, blobs: [layer, config] };
}

function tarOf(folder: string, start: number): Readable {
  const child = spawn('tar', [...TAR_WORDS, '--directory', folder, '.'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1000);
  });
  let skip = start;
  const rest = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      const skipped = Math.min(skip, chunk.length);
      skip -= skipped;
      done(null, chunk.subarray(skipped));
    },
  });
  child.once('error', (error) => rest.destroy(new CliError('invalid-request', `tar cannot be run: ${error.message}`)));
  child.stdout.pipe(rest, { end: false });
  child.once('close', (code) => {
    if (code === 0) rest.end();
    else rest.destroy(new CliError('invalid-request', `tar cannot read ${folder}: ${said.trim()}`));
  });
  rest.once('close', () => child.kill());
  return rest;
}
