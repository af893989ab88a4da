// Orders for the real agent (agent-lab.ts): images, signatures and documents as the server makes them, and an agent whose disk
// is a script that writes down what it was asked for.
import { createHash, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { encodeBootConfig, encodeBootManifest } from '../../src/images/conversion/boot-manifest.ts';
import { renderSignaturePayload } from '../../src/images/trust/signature.ts';
import { renderRolloutDocument } from '../../src/rollouts/rollout-document.ts';
import type { RolloutSpec } from '../../src/rollouts/rollout.ts';
import { AgentLab, type AgentRun } from './agent-lab.ts';
import { aDigest } from './domain-builders.ts';
import { aRolloutId, aSpec } from './rollout-builders.ts';

const LIBRARY = join(import.meta.dirname, '../../boot-assets/agent/lib');
export const RUNNING = aDigest('a');
export const IMAGE = aDigest('b');
export const ORDER = '/api/v1/agent/order';
export const HEARTBEAT = '/api/v1/agent/heartbeat';
export const PROGRESS = '/api/v1/agent/progress';
export const EVENT = '/api/v1/agent/event';

/** Read after all others: what touches disks and boot entries. $stub/NAME holds the reason with which NAME fails. */
const DISK_STUB = `
stubbed() {
  printf '%s\\n' "$*" >>"$MUSTER_STUB/calls"
  [ ! -e "$MUSTER_STUB/$1" ] || give_up failed "$(cat "$MUSTER_STUB/$1")"
}
write_slot() {
  tell_progress downloading 0 1000
  stubbed write_slot "$1" "$squashfs_digest $squashfs_bytes" || return
  done_bytes=0
  while [ -e "$MUSTER_STUB/slow" ]; do
    done_bytes=$((done_bytes + 10))
    tell_progress downloading "$done_bytes" 1000
    sleep 0.1
  done
  tell_progress verifying 1000 1000
}
install_boot_files() { stubbed install_boot_files "$kernel_digest" "$initrd_digest"; }
mark_trial() { stubbed mark_trial "$1" "$order_boot" "$order_trial_seconds" "$order_command_line"; }
mark_good() { stubbed mark_good; }
mark_bad() { stubbed mark_bad; }
install_to_disk() {
  stubbed install_to_disk "$order_version" || return
  cp -R "$order_folder/trust" "$order_folder/persist" "$oem/"
  write_seed "$oem/seed" && carry_identity "$oem/identity"
}
`;

interface OrderParts {
  kind: string;
  id: string;
  version: string;
  requiresVersion: string | undefined;
  repository: string;
  /** Who signs: undefined leaves the signature out. */
  release: KeyObject | undefined;
  operator: KeyObject | undefined;
  rollout: Partial<RolloutSpec['image']> & { createdAt?: number; downgrade?: boolean };
  /** Repository in what the release key signs. */
  signedFor: string;
  signedBoot: string | undefined;
  /** Further lines, or others in the place of those with the same key; undefined takes a line away. */
  lines: Readonly<Record<string, string | undefined>>;
}

export class OrderLab extends AgentLab {
  readonly release = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly operator = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  /** What a heartbeat is answered. */
  named: string | undefined;

  constructor() {
    super();
    mkdirSync(this.path('stub'));
    cpSync(LIBRARY, this.path('lib'), { recursive: true });
    appendFileSync(this.path('lib/install.sh'), DISK_STUB);
    this.setCloudInit('done');
    const config = '#cloud-config\n';
    this.scriptHealthyServer({ text: config });
    for (const path of ['/api/v1/agent/desired', HEARTBEAT])
      this.answer(path, () => ({
        status: 200,
        body: `heartbeat_seconds=1\nhostname=node-1\nconfig_digest=sha256:${digestHex(config)}\n${this.named === undefined ? '' : `order_id=${this.named}\n`}`,
      }));
    this.answer(PROGRESS, () => ({ status: 204 }));
  }

  /** A machine that was installed with both keys and runs version 1.0 from slot A. */
  installMachine(words = ''): void {
    this.kernelWords = `muster.slot=A muster.image=${RUNNING} muster.bootmanifest=${aDigest('c')} ${words}`;
    this.write('oem/muster/trust/release/1.pub', pem(this.release.publicKey));
    this.write('oem/muster/trust/operator/1.pub', pem(this.operator.publicKey));
    this.write('oem/muster/slots', `A ${RUNNING} ${aDigest('c')} 1.0 1790000000\n`);
  }

  bootsFromNetwork(): void {
    this.kernelWords = `muster.image=${RUNNING}`;
    mkdirSync(this.path('oem'));
  }

  /** The server wants this from now on, and names it in each answer. */
  serveOrder(overrides: Partial<OrderParts> = {}): string {
    const text = this.renderOrder(overrides);
    this.named = overrides.id ?? 'r-1';
    this.answer(ORDER, () => ({ status: 200, body: text }));
    return text;
  }

  renderOrder(overrides: Partial<OrderParts> = {}): string {
    const parts: OrderParts = {
      kind: 'upgrade',
      id: 'r-1',
      version: '1.1',
      requiresVersion: undefined,
      repository: 'fleet/os',
      release: this.release.privateKey,
      operator: this.operator.privateKey,
      rollout: {},
      signedFor: 'muster.example.org:8443/fleet/os',
      signedBoot: undefined,
      lines: {},
      ...overrides,
    };
    const { boot, config } = bootDocuments(parts);
    const payload = renderSignaturePayload({
      reference: parts.signedFor,
      digest: (parts.signedBoot ?? boot.digest) as typeof boot.digest,
    });
    const document = renderDocument(parts, boot.digest);
    const all: Record<string, string | undefined> = {
      id: parts.id,
      kind: parts.kind,
      repository: parts.repository,
      image: IMAGE,
      version: parts.version,
      boot: boot.digest,
      boot_manifest_base64: base64(boot.bytes),
      boot_config_base64: base64(config.bytes),
      release_payload_base64: parts.release && base64(payload),
      release_signature_base64: parts.release && sign(payload, parts.release),
      rollout_base64: parts.operator && base64(document),
      rollout_signature_base64: parts.operator && sign(document, parts.operator),
      artifacts_url: 'http://127.0.0.1:9',
      command_line: 'console=ttyS0 quiet',
      rate_bytes: '0',
      trial_seconds: '600',
      tries: '3',
      ...parts.lines,
    };
    return Object.entries(all)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key.replace(/#.*/, '')}=${value}\n`)
      .join('');
  }

  /** What the stub was asked for. */
  calls(): readonly string[] {
    return existsSync(this.path('stub/calls')) ? this.read('stub/calls').trim().split('\n') : [];
  }

  phases(): readonly string[] {
    return this.asked(PROGRESS).map(({ form }) => form.get('phase') ?? '');
  }

  lastBeat(): Record<string, string> {
    return Object.fromEntries(this.asked(HEARTBEAT).at(-1)?.form ?? []);
  }

  hasRestarted(): boolean {
    return existsSync(this.path('restarted'));
  }

  /** The same machine a moment later: another boot, as far as the agent's state can tell. */
  bootAgain(words: string): void {
    this.kernelWords = words;
    rmSync(this.path('restarted'), { force: true });
    for (const name of ['state/pending', 'state/orders']) {
      if (!existsSync(this.path(name))) continue;
      const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      this.write(name, this.read(name).replaceAll(bootId, 'the-boot-before'));
    }
  }

  startOrderAgent(environment: Readonly<Record<string, string>> = {}): AgentRun {
    return this.startAgent({
      MUSTER_LIBRARY: this.path('lib'),
      MUSTER_STUB: this.path('stub'),
      MUSTER_ORDER_POLL_MS: '50',
      MUSTER_PROGRESS_MS: '200',
      MUSTER_HEALTH_POLL_MS: '50',
      MUSTER_SYSTEMCTL: this.path('systemctl'),
      MUSTER_PROBES: this.path('probes'),
      ...environment,
    });
  }
}

function bootDocuments({ version, requiresVersion }: OrderParts) {
  const part = (letter: string, sizeBytes: number) => ({ digest: aDigest(letter), sizeBytes });
  const config = encodeBootConfig(
    {
      ...{ family: 'dracut-livenet', commandLine: [], os: { id: 'debian' }, architecture: 'amd64' },
      ...(version !== '' && { version }),
      ...(requiresVersion !== undefined && { requiresVersion }),
    },
    digestHex,
  );
  const boot = encodeBootManifest(
    { config, kernel: part('1', 100), initrd: part('2', 200), squashfs: part('3', 700) },
    digestHex,
  );
  return { boot, config };
}

function renderDocument({ repository, version, rollout }: OrderParts, bootDigest: RolloutSpec['image']['bootDigest']) {
  const { createdAt = Date.now(), downgrade = false, ...image } = rollout;
  const spec = aSpec({ allowDowngrade: downgrade });
  const of = { ...spec.image, digest: IMAGE, repository, bootDigest, ...(version !== '' && { version }), ...image };
  return renderRolloutDocument({ id: aRolloutId(), spec: { ...spec, image: of }, createdAt });
}

export function sign(data: Uint8Array | string, key: KeyObject): string {
  return createSign('sha256').update(data).sign(key, 'base64');
}

export function base64(data: Uint8Array | string): string {
  return Buffer.from(data).toString('base64');
}

export function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function digestHex(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}
