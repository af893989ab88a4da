// What a machine gets on its way from firmware to root file system: one method per kind of resource behind a boot path.
// Decides by planBoot and hands out values; the HTTP route and the TFTP server only carry them out.
import { kernelCommandLine } from '../boot/kernel-command-line.ts';
import { artifactUrls } from '../boot/artifact-urls.ts';
import type { BootSeal } from '../boot/boot-seal.ts';
import type { BootPlan } from '../boot/plan-boot.ts';
import { renderLocalDisk, renderNetboot, renderWait } from '../boot/render-ipxe.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { BootImage } from '../images/boot-image.ts';
import type { Digest } from '../images/digest.ts';
import type { ImageCatalogue } from '../images/image-catalogue.ts';
import { shortReference } from '../images/image-reference.ts';
import type { Machine } from '../machines/machine.ts';
import type { MachineService } from '../machines/machine-service.ts';
import type { BootRequest, BootResource, ServedReport } from './boot-resource.ts';
import type { DiskBootWatch } from './disk-boot-watch.ts';
import type { BootSession, BootSessionId, FetchKind } from './boot-session.ts';
import type { BootSessionService } from './boot-session-service.ts';

/** How a TFTP transfer ended; size probes that the client broke off are not among them. */
export interface TftpTransfer {
  readonly name: string;
  readonly completed: boolean;
  readonly reason: string;
  readonly bytes: number;
  readonly milliseconds: number;
}

/** A loader as it lies in the blob store. */
export interface StoredLoader {
  readonly name: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BootServiceParts {
  readonly sessions: BootSessionService;
  readonly machines: MachineService;
  readonly images: Pick<ImageCatalogue, 'pinned'>;
  /** Runs `use` where the image NAME@DIGEST is here, with nothing collected meanwhile; false where it is not. */
  readonly withImage: (reference: string, use: () => Promise<void>) => Promise<boolean>;
  readonly events: EventRecorder;
  readonly diskBoots: Pick<DiskBootWatch, 'failuresOf' | 'sentToDisk'>;
  readonly loaders: ReadonlyMap<string, StoredLoader>;
  /** Mints the enrollment token of a boot, bound to the machine, and wraps it as an initrd, with what seals the image. */
  readonly mintTokenInitrd: (
    session: BootSession,
    machine: Machine,
    image: BootImage,
  ) => Promise<{ tokenId: string; initrd: Uint8Array }>;
  /** The seal of an image; undefined where there is none. */
  readonly sealOf: (image: BootImage) => BootSeal | undefined;
  /** Detached signatures of kernel and initrd, where loaders are to ask for them. */
  readonly signatures?: { of(digest: Digest): Promise<Uint8Array> } | undefined;
  readonly settings: {
    readonly httpPort: () => number;
    readonly apiPort: () => number;
    readonly caSha256: string;
    /** Of a cache in front of this server; empty where there is none. */
    readonly artifactsUrl: string;
  };
}

const PLAIN_TEXT = 'text/plain';
const BINARY = 'application/octet-stream';

export class BootService {
  readonly #parts: BootServiceParts;

  constructor(parts: BootServiceParts) {
    this.#parts = parts;
  }

  /** The resource behind /boot/<token>/<name>. */
  async resource(request: BootRequest): Promise<BootResource> {
    const access = await this.#parts.sessions.access(request.token);
    if (access.kind === 'refused') return access;
    const { session, capability } = access;
    switch (capability) {
      case 'script':
        if (request.name === 'boot.ipxe') return this.#script(session, request);
        if (request.name === 'token.cpio.gz') return this.#tokenInitrd(session, request);
        return this.#loader(session, request);
      case 'artifacts':
        return this.#artifact(session, request);
      case 'seed':
        return this.#seed(session, request);
    }
  }

  /** The loader behind a TFTP name: `<boot session>/<file>` as our offers say it, or the bare file for other DHCP servers. */
  loaderByTftpName(name: string): StoredLoader | undefined {
    return this.#parts.loaders.get(name.slice(name.lastIndexOf('/') + 1));
  }

  /** Puts a TFTP transfer on record with the machine whose boot session its name holds. */
  async tftpServed(transfer: TftpTransfer): Promise<void> {
    const session = await this.#parts.sessions.find(transfer.name.split('/')[0] as BootSessionId);
    if (session === undefined) return;
    const name = transfer.name.slice(transfer.name.lastIndexOf('/') + 1);
    const { bytes: sizeBytes, milliseconds: durationMs } = transfer;
    if (transfer.completed)
      this.#record(session, { kind: 'loader-served', details: { name, transport: 'tftp', sizeBytes, durationMs } });
    else
      this.#record(session, { kind: 'loader-failed', details: { name, transport: 'tftp', reason: transfer.reason } });
  }

  async #loader(session: BootSession, request: BootRequest): Promise<BootResource> {
    const loader = this.#parts.loaders.get(request.name);
    if (loader === undefined) return this.#refuse(session, request, 404, 'no such file');
    const refused = await this.#count(session, request, 'loader');
    if (refused !== undefined) return refused;
    return {
      kind: 'blob',
      digest: loader.digest,
      sizeBytes: loader.sizeBytes,
      // UEFI compares the whole Content-Type (UEFI 2.10 §24.7.3): a charset after it would end the boot.
      contentType: loader.name.endsWith('.efi') ? 'application/efi' : BINARY,
      onServed: (report) => {
        // UEFI asks for parts and breaks off; only a whole loader is a step of the boot.
        if (!report.complete) return;
        this.#record(session, {
          kind: 'loader-served',
          details: { name: loader.name, transport: 'http', sizeBytes: report.bytes, durationMs: report.durationMs },
        });
      },
    };
  }

  async #script(session: BootSession, request: BootRequest): Promise<BootResource> {
    const refused = await this.#count(session, request, 'script');
    if (refused !== undefined) return refused;
    const machine = await this.#parts.machines.get(session.machineId);
    const planned = await this.#parts.machines.plan(machine);
    const scriptUrl = this.#url(session, request.token, 'boot.ipxe');
    const plan = request.method === 'GET' ? await this.#scriptServed(session, machine, planned) : planned;
    return { kind: 'text', contentType: PLAIN_TEXT, body: this.#render(session, plan, request.token, scriptUrl) };
  }

  /** The plan as it holds: an image may go between the moment it is planned and the one that keeps it. */
  async #scriptServed(session: BootSession, machine: Machine, planned: BootPlan): Promise<BootPlan> {
    const plan = planned.kind === 'netboot' ? await this.#keepImage(session, machine, planned) : planned;
    if (plan.kind !== 'netboot') {
      await this.#parts.sessions.keepWaiting(session);
      if (plan.kind === 'local-disk' && machine.installedAt !== undefined) this.#sentToDisk(session, machine);
    }
    this.#record(session, {
      kind: 'script-served',
      details: {
        plan: plan.kind,
        ...(plan.kind === 'netboot' ? { profile: plan.profile.name } : {}),
        reason: plan.reason,
      },
    });
    return plan;
  }

  async #keepImage(
    session: BootSession,
    machine: Machine,
    plan: Extract<BootPlan, { kind: 'netboot' }>,
  ): Promise<BootPlan> {
    const kept = { image: plan.reference, profile: plan.profile.name };
    const isHere = await this.#parts.withImage(plan.reference, () => this.#parts.sessions.scriptServed(session, kept));
    if (!isHere)
      return { kind: 'wait', reason: `image ${plan.reference} was just removed`, hint: 'muster images list' };
    await this.#parts.machines.bootPlanned(machine.id, kept);
    return plan;
  }

  #sentToDisk(session: BootSession, machine: Machine): void {
    const times = this.#parts.diskBoots.failuresOf(machine);
    const seconds = this.#parts.diskBoots.sentToDisk(machine);
    if (seconds !== undefined) this.#record(session, { kind: 'disk-boot-failed', details: { seconds, times } });
  }

  #render(session: BootSession, plan: BootPlan, token: string, scriptUrl: string): string {
    const tokens = this.#parts.sessions.tokensOf(token);
    switch (plan.kind) {
      case 'wait':
        return renderWait({ ...plan, scriptUrl });
      case 'local-disk':
        return renderLocalDisk(plan);
      case 'netboot': {
        const urlOf = (name: string): string => this.#url(session, tokens.artifacts, name);
        const urls = artifactUrls(plan.image, { cacheUrl: this.#parts.settings.artifactsUrl, sessionUrl: urlOf });
        return renderNetboot({
          title: `${session.mac} boots ${shortReference(plan.reference)} (profile ${plan.profile.name})`,
          scriptUrl,
          kernelUrl: urls.kernelUrl,
          initrdUrl: urls.initrdUrl,
          signatureUrls:
            this.#parts.signatures === undefined
              ? undefined
              : { kernel: urlOf('vmlinuz.sig'), initrd: urlOf('initrd.img.sig') },
          tokenInitrdUrl: this.#url(session, token, 'token.cpio.gz'),
          commandLine: kernelCommandLine({
            image: plan.image,
            profileWords: plan.profile.boot.commandLine,
            rootWords: plan.profile.boot.rootCommandLine,
            squashfsUrl: urls.squashfsUrl,
            seedUrl: this.#url(session, tokens.seed, 'seed/'),
            apiUrl: `https://${session.serverAddress}:${this.#parts.settings.apiPort()}`,
            caSha256: this.#parts.settings.caSha256,
            sealWords: this.#parts.sealOf(plan.image)?.words,
          }),
        });
      }
    }
  }

  async #tokenInitrd(session: BootSession, request: BootRequest): Promise<BootResource> {
    if (session.image === undefined) return this.#refuse(session, request, 403, 'no boot was planned');
    if (request.method === 'HEAD') return { kind: 'bytes', contentType: BINARY, body: new Uint8Array() };
    const refused = await this.#count(session, request, 'boot-token');
    if (refused !== undefined) return refused;
    const machine = await this.#parts.machines.get(session.machineId);
    if (machine.state === 'discovered' || machine.state === 'retired')
      return this.#refuse(session, request, 403, `the machine is ${machine.state}`);
    const image = await this.#parts.images.pinned(session.image);
    if (image === undefined) return this.#refuse(session, request, 404, 'the image is gone');
    const { tokenId, initrd } = await this.#parts.mintTokenInitrd(session, machine, image);
    this.#record(session, { kind: 'boot-token-served', details: { tokenId } });
    return { kind: 'bytes', contentType: BINARY, body: initrd };
  }

  async #artifact(session: BootSession, request: BootRequest): Promise<BootResource> {
    const image = session.image === undefined ? undefined : await this.#parts.images.pinned(session.image);
    if (image !== undefined && request.name.endsWith('.sig')) return this.#signature(session, request, image);
    const found = image === undefined ? undefined : artifactOf(image, request.name);
    if (image === undefined || found === undefined) return this.#refuse(session, request, 404, 'no such file');
    const refused = await this.#count(session, request, 'artifact');
    if (refused !== undefined) return refused;
    const { part, event } = found;
    return {
      kind: 'blob',
      digest: part.digest,
      sizeBytes: part.sizeBytes,
      contentType: BINARY,
      onServed: (report: ServedReport) => {
        if (!report.complete) return;
        const details = {
          image: shortReference(`${image.name}@${image.digest}`),
          sizeBytes: report.bytes,
          durationMs: report.durationMs,
        };
        this.#record(session, { kind: event, details });
      },
    };
  }

  async #signature(session: BootSession, request: BootRequest, image: BootImage): Promise<BootResource> {
    const part = artifactOf(image, request.name.replace(/\.sig$/, ''))?.part;
    if (part === undefined || this.#parts.signatures === undefined)
      return this.#refuse(session, request, 404, 'no such file');
    const refused = await this.#count(session, request, 'artifact');
    return refused ?? { kind: 'bytes', contentType: BINARY, body: await this.#parts.signatures.of(part.digest) };
  }

  async #seed(session: BootSession, request: BootRequest): Promise<BootResource> {
    const refused = await this.#count(session, request, 'seed');
    if (refused !== undefined) return refused;
    const machine = await this.#parts.machines.get(session.machineId);
    const file = request.name.replace(/^seed\//, '');
    const body = this.#seedFile(machine, file);
    if (body === undefined) return this.#refuse(session, request, 404, 'no such file');
    if (request.method === 'GET') this.#record(session, { kind: 'seed-served', details: { file } });
    return { kind: 'text', contentType: PLAIN_TEXT, body };
  }

  /** All four answer: cloud-init repeats a file that is missing eleven times, with a second between. */
  #seedFile(machine: Machine, file: string): string | undefined {
    switch (file) {
      case 'user-data':
        return this.#parts.machines.configOf(machine).userData;
      case 'meta-data':
        return this.#parts.machines.configOf(machine).metaData;
      case 'network-config':
      case 'vendor-data':
        return '';
      default:
        return undefined;
    }
  }

  async #count(session: BootSession, request: BootRequest, kind: FetchKind): Promise<BootResource | undefined> {
    if (request.method === 'HEAD' || (await this.#parts.sessions.countFetch(session, kind, request.name)))
      return undefined;
    return this.#refuse(session, request, 429, 'fetched too often in this boot session');
  }

  #refuse(session: BootSession, request: BootRequest, status: 403 | 404 | 429, reason: string): BootResource {
    if (status !== 404)
      this.#record(session, { kind: 'boot-refused', details: { resource: request.name.slice(0, 100), reason } });
    return { kind: 'refused', status, reason };
  }

  #url(session: BootSession, token: string, name: string): string {
    return `http://${session.serverAddress}:${this.#parts.settings.httpPort()}/boot/${token}/${name}`;
  }

  #record(session: BootSession, event: SessionEvent): void {
    const { id: sessionId, machineId, mac } = session;
    this.#parts.events.record({ ...event, sessionId, machineId, mac });
  }
}

type SessionEvent = Parameters<EventRecorder['record']>[0];

function artifactOf(
  image: BootImage,
  name: string,
):
  | { readonly part: BootImage['kernel']; readonly event: 'kernel-served' | 'initrd-served' | 'squashfs-served' }
  | undefined {
  switch (name) {
    case 'vmlinuz':
      return { part: image.kernel, event: 'kernel-served' };
    case 'initrd.img':
      return { part: image.initrd, event: 'initrd-served' };
    case 'rootfs.squashfs':
    case 'rootfs.iso': // casper takes what ends in .iso alone
      return { part: image.squashfs, event: 'squashfs-served' };
    default:
      return undefined;
  }
}
