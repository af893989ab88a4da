// The part of the composition root that belongs to a boot: what a machine gets on its way, and what seals it.
import { resolve } from 'node:path';
import { sealBoot, sealFiles, type BootSeal } from './boot/boot-seal.ts';
import { buildTokenInitrd } from './boot/build-token-initrd.ts';
import { BootService, type StoredLoader } from './boot-sessions/boot-service.ts';
import type { DiskBootWatch } from './boot-sessions/disk-boot-watch.ts';
import type { BootSessionService } from './boot-sessions/boot-session-service.ts';
import type { Clock } from './clock.ts';
import { createCmsSigner } from './crypto/image-cms.ts';
import { openSealKey } from './crypto/image-seal.ts';
import type { KeyRing } from './crypto/key-ring.ts';
import type { EnrollmentService } from './enrollment/enrollment-service.ts';
import { bootSessionMaker } from './enrollment/token-maker.ts';
import type { EventRecorder } from './events/event-recorder.ts';
import type { BlobStore } from './images/blob-store.ts';
import type { BootImage } from './images/boot-image.ts';
import type { ImageCatalogue } from './images/image-catalogue.ts';
import { parseImageReference } from './images/image-reference.ts';
import type { RegistryService } from './images/registry/registry-service.ts';
import type { LoaderRecord } from './images/loaders/loaders.ts';
import { BootFileSignatures } from './images/trust/signature-boot-files.ts';
import type { MachineService } from './machines/machine-service.ts';
import { loadSealAssets } from './platform/initrd-assets.ts';
import { sha256 } from './platform/sha256.ts';
import type { Settings } from './settings/schema.ts';

const BASE_DIRECTORY = resolve(import.meta.dirname, '..');

interface BootCore {
  readonly keys: KeyRing;
  readonly blobs: BlobStore;
  readonly loaders: readonly LoaderRecord[];
  readonly images: { readonly catalogue: ImageCatalogue; readonly registry: Pick<RegistryService, 'holdCollection'> };
  readonly diskBoots: DiskBootWatch;
  readonly events: EventRecorder;
  readonly machines: MachineService;
  readonly sessions: BootSessionService;
  readonly enrollment: EnrollmentService;
}

/** `ports` are read when a URL is made: the kernel may choose them. */
export async function openBootService(
  settings: Settings,
  core: BootCore,
  ports: { readonly http: number; readonly api: number },
  clock: Clock,
): Promise<BootService> {
  const sealKey = await openSealKey(settings.dataDirectory);
  const sealAssets = await loadSealAssets(BASE_DIRECTORY);
  const sealOf = (image: BootImage): BootSeal | undefined => sealBoot(image, settings.images.verifyRoot, sha256);
  const signatures = settings.images.imgverify
    ? new BootFileSignatures(core.blobs, await createCmsSigner(core.keys.bootCa, clock.now()))
    : undefined;
  const loaders = core.loaders.map((loader): [string, StoredLoader] => [loader.name, loader]);
  return new BootService({
    sessions: core.sessions,
    machines: core.machines,
    images: core.images.catalogue,
    withImage: async (reference, use) => {
      const parsed = parseImageReference(reference);
      return core.images.registry.holdCollection(async () => {
        if (parsed === undefined || (await core.images.catalogue.digest(parsed)) === undefined) return false;
        await use();
        return true;
      });
    },
    diskBoots: core.diskBoots,
    events: core.events,
    loaders: new Map(loaders),
    sealOf,
    signatures,
    mintTokenInitrd: async (session, machine, image) => {
      const { record, token } = await core.enrollment.createToken({
        by: bootSessionMaker(session.id),
        mac: session.mac,
        ...(machine.uuid === undefined ? {} : { uuid: machine.uuid }),
      });
      const seal = sealOf(image);
      const files = seal === undefined ? [] : sealFiles(seal, sealKey.sign(seal.manifest), sealAssets);
      return { tokenId: record.id, initrd: buildTokenInitrd(token, files) };
    },
    settings: {
      httpPort: () => ports.http,
      apiPort: () => ports.api,
      caSha256: core.keys.caSha256,
      artifactsUrl: settings.http.artifactsUrl,
    },
  });
}
