// skopeo as a person would use it against the lab's Muster: in the server's namespace, with the administrator's token as the
// password and Muster's own authority as the one to trust.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { plainEnvironment, SERVER_ADDRESS, type LabNetwork } from './lab-network.ts';

const REGISTRY = `${SERVER_ADDRESS}:8443`;
const LIMIT_MILLISECONDS = 10 * 60 * 1_000;
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

export interface CopyReport {
  /** Blobs that went into the registry, configs among them, and those that it had. */
  readonly uploaded: readonly string[];
  readonly skipped: readonly string[];
  readonly seconds: number;
}

export class Skopeo {
  private readonly network: LabNetwork;
  private readonly certificates: string;
  private readonly authFile: string;
  private readonly signal: AbortSignal;

  constructor(network: LabNetwork, dataDirectory: string, signal: AbortSignal) {
    this.network = network;
    this.signal = signal;
    this.certificates = network.run.file('skopeo-certificates');
    this.authFile = network.run.file('skopeo-auth.json');
    mkdirSync(this.certificates, { recursive: true });
    copyFileSync(join(dataDirectory, 'ca.pem'), join(this.certificates, 'ca.crt'));
    const token = readFileSync(join(dataDirectory, 'admin-token'), 'utf8').trim();
    const auth = Buffer.from(`admin:${token}`).toString('base64');
    writeFileSync(this.authFile, JSON.stringify({ auths: { [REGISTRY]: { auth } } }), { mode: 0o600 });
  }

  /** From an OCI layout into the registry; `reference` is NAME:TAG. */
  push(layout: string, tag: string, reference: string): Promise<CopyReport> {
    const to = ['--dest-cert-dir', this.certificates];
    return this.copy(to, `oci:${layout}:${tag}`, `docker://${REGISTRY}/${reference}`);
  }

  /** From the registry into an OCI layout, which is made where there is none. */
  pull(reference: string, layout: string, tag: string): Promise<CopyReport> {
    const from = ['--src-cert-dir', this.certificates];
    return this.copy(from, `docker://${REGISTRY}/${reference}`, `oci:${layout}:${tag}`);
  }

  private async copy(words: readonly string[], from: string, to: string): Promise<CopyReport> {
    // Without --debug and off a terminal it does not say what it skipped.
    const options = [
      '--debug',
      '--insecure-policy',
      'copy',
      '--preserve-digests',
      '--authfile',
      this.authFile,
      ...words,
    ];
    const [program, ...rest] = [...this.network.enter('srv'), 'skopeo', ...options, from, to] as const;
    const started = performance.now();
    const { stderr } = await promisify(execFile)(program, rest, {
      timeout: LIMIT_MILLISECONDS,
      maxBuffer: LOG_LIMIT_BYTES,
      signal: this.signal,
      env: { ...plainEnvironment(), ...this.network.run.environmentMark },
    });
    return { ...readCopyLog(stderr), seconds: (performance.now() - started) / 1_000 };
  }
}

/** From its debug log (containers/image, docker_image_dest.go and copy.go). */
export function readCopyLog(text: string): Omit<CopyReport, 'seconds'> {
  const digestsAt = (pattern: RegExp): readonly string[] =>
    [...text.matchAll(pattern)].map(([, digest = '']) => digest);
  return {
    uploaded: digestsAt(/Upload of layer (sha256:[0-9a-f]{64}) complete/g),
    skipped: digestsAt(/Skipping blob (sha256:[0-9a-f]{64}) \(already present\)/g),
  };
}
