// From the layers of an image to kernel, initrd and squashfs in a work folder, or the reason why not. Layers are read twice:
// once for the tree, once for the contents, which go straight into the squashfs.
import { addAbortSignal, PassThrough, Readable } from 'node:stream';
import type { BlobStore } from '../blob-store.ts';
import { isVersion, type BootConfig } from './boot-manifest.ts';
import type { ConversionProgress, Refusal, RefusalCode } from './conversion.ts';
import type { Digest } from '../digest.ts';
import { findBootFiles, type BootFiles } from './find-boot-files.ts';
import type { FileTree, TreeEntry } from '../flatten/file-tree.ts';
import { readCaptured } from '../flatten/find-in-tree.ts';
import type { LayerCompression, LayerSource } from '../flatten/layer-source.ts';
import { scanLayers } from '../flatten/scan-layers.ts';
import { writeTree } from '../flatten/write-tree.ts';
import { judgeInitrd, type InitrdJudgement } from './judge-initrd.ts';
import { identifyKairos, identifyOs } from './os-release.ts';
import type { OpenDecompressor } from './scan-initrd.ts';
import type { SquashfsWriter } from './squashfs-writer.ts';
import type { WorkFile, WorkFolder } from './workspace.ts';

export type PackOutcome =
  | {
      readonly kind: 'packed';
      readonly kernel: WorkFile;
      readonly initrd: WorkFile;
      readonly config: Omit<BootConfig, 'architecture' | 'commandLine'>;
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Names of the three files in the work folder. */
export const PACKED = { kernel: 'kernel', initrd: 'initrd', squashfs: 'squashfs' } as const;

/** PORT. Runs packRoot where it disturbs nobody. Adapter: platform/child-root-packer.ts. */
export interface RootPacker {
  /** Fails as disk and programs fail, and with the signal's reason. */
  pack(request: PackRequest): Promise<PackOutcome>;
}

export interface PackRequest {
  /** Lowest first. */
  readonly layers: readonly StoredLayer[];
  readonly folder: WorkFolder;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ConversionProgress) => void;
}

/** A layer of the image as it lies in the blob store. */
export interface StoredLayer {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly compression: LayerCompression;
}

export interface PackTools {
  readonly blobs: Pick<BlobStore, 'read'>;
  /** The tar inside. */
  readonly unpackLayer: (blob: Readable, compression: LayerCompression) => Readable;
  readonly squashfs: SquashfsWriter;
  readonly openDecompressor: OpenDecompressor;
}

const RELEASE_FILES = new Set(['os-release', 'kairos-release']);
const KERNEL_LIMIT_BYTES = 256 * 1024 ** 2;
const INITRD_LIMIT_BYTES = 1024 ** 3;

export async function packRoot(request: PackRequest, tools: PackTools): Promise<PackOutcome> {
  const scan = await scanLayers(sourcesOf(request, tools, 'reading layers', request.signal), {
    capture: RELEASE_FILES,
  });
  if (scan.kind === 'refused') return refused('layer-refused', `${scan.detail} [${scan.reason}]`);
  const files = findBootFiles(scan.tree);
  if (files.kind !== 'found') return refuseFiles(files);
  for (const [file, limit] of [
    [files.kernel, KERNEL_LIMIT_BYTES],
    [files.initrd, INITRD_LIMIT_BYTES],
  ] as const)
    if (file.inode.sizeBytes > limit) return refused('too-large', `${file.path} has more than ${limit} bytes.`);
  return new Packing(request, tools, scan.tree, files).run();
}

class Packing {
  readonly #request: PackRequest;
  readonly #tools: PackTools;
  readonly #tree: FileTree;
  readonly #files: Extract<BootFiles, { kind: 'found' }>;
  readonly #giveUp = new AbortController();

  constructor(request: PackRequest, tools: PackTools, tree: FileTree, files: Extract<BootFiles, { kind: 'found' }>) {
    this.#request = request;
    this.#tools = tools;
    this.#tree = tree;
    this.#files = files;
  }

  async run(): Promise<PackOutcome> {
    const { kernel, initrd } = this.#files;
    const kernelTap = new PassThrough();
    const initrdTap = new PassThrough();
    const taps = [
      { entry: kernel.entry, sink: kernelTap },
      { entry: initrd.entry, sink: initrdTap },
    ];
    const kernelFile = this.#keep(PACKED.kernel, kernelTap);
    const judged = this.#keep(PACKED.initrd, initrdTap).then(async (file) => ({ file, ...(await this.#judge()) }));
    // Both fail along with the tar, and it is the tar that tells why.
    kernelFile.catch(ignore);
    judged.catch(ignore);
    try {
      const squashfs = await this.#pack(taps);
      if (squashfs !== undefined) return squashfs;
      const { file, ...judgement } = await judged;
      if (judgement.kind === 'refused') return judgement;
      return { kind: 'packed', kernel: await kernelFile, initrd: file, config: this.#config(judgement.family) };
    } catch (error) {
      if (!this.#giveUp.signal.aborted || this.#request.signal.aborted) throw error;
      const judgement = await judged;
      if (judgement.kind === 'refused') return { kind: 'refused', refusal: judgement.refusal };
      throw error;
    } finally {
      kernelTap.destroy();
      initrdTap.destroy();
    }
  }

  async #keep(name: string, content: Readable): Promise<WorkFile> {
    const file = await this.#request.folder.write(name, content, INITRD_LIMIT_BYTES);
    if (file === undefined) throw new RangeError(`${name} is longer than its entry says`);
    return file;
  }

  /** As soon as the initrd is through: packing a root that nothing can boot is lost time. */
  async #judge(): Promise<InitrdJudgement> {
    const { path } = this.#files.initrd;
    const content = this.#request.folder.read(PACKED.initrd);
    const initrd = { path, content, isKairos: this.#kairos() !== undefined };
    const judgement = await judgeInitrd(initrd, this.#tools.openDecompressor);
    if (judgement.kind === 'refused') this.#giveUp.abort();
    return judgement;
  }

  async #pack(taps: Parameters<typeof writeTree>[2]): Promise<Extract<PackOutcome, { kind: 'refused' }> | undefined> {
    const { folder } = this.#request;
    const signal = AbortSignal.any([this.#request.signal, this.#giveUp.signal]);
    const outcome = await this.#tools.squashfs.write({
      tar: writeTree(this.#tree, sourcesOf(this.#request, this.#tools, 'packing', signal), taps),
      path: folder.pathOf(PACKED.squashfs),
      timeSeconds: newestOf(this.#tree.root),
      rootMode: this.#tree.root.inode.mode,
      signal,
    });
    if (outcome.kind === 'written') return undefined;
    if (/no space left/i.test(outcome.reason))
      return refused('no-space', `The disk is full: ${outcome.reason}. Make room, then push the image again.`);
    return refused('squashfs-failed', `mksquashfs says: ${outcome.reason}`);
  }

  #config(family: BootConfig['family']): Omit<BootConfig, 'architecture' | 'commandLine'> {
    const { kernelVersion } = this.#files;
    const kairos = this.#kairos();
    const { imageVersion, ...os } = identifyOs(this.#release('os-release'));
    const version = [imageVersion, kairos?.version, os.versionId].find(isVersion);
    return {
      family,
      ...(version !== undefined && { version }),
      ...(kernelVersion !== undefined && { kernelVersion }),
      os,
      ...(kairos !== undefined && { kairos }),
    };
  }

  #kairos(): ReturnType<typeof identifyKairos> {
    return identifyKairos(this.#release('kairos-release')) ?? identifyKairos(this.#release('os-release'));
  }

  #release(name: string): string {
    return readCaptured(this.#tree, `/etc/${name}`) ?? readCaptured(this.#tree, `/usr/lib/${name}`) ?? '';
  }
}

/** Progress counts the stored bytes: how far the layers unpack nobody knows before. */
function sourcesOf(
  { layers, onProgress }: PackRequest,
  { blobs, unpackLayer }: PackTools,
  phase: ConversionProgress['phase'],
  signal: AbortSignal,
): readonly LayerSource[] {
  const totalBytes = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let doneBytes = 0;
  return layers.map(({ digest, sizeBytes, compression }) => ({
    compressedBytes: sizeBytes,
    open: () => {
      const blob = addAbortSignal(signal, blobs.read(digest));
      const counted = async function* () {
        for await (const chunk of blob) {
          if (chunk instanceof Uint8Array) doneBytes += chunk.length;
          onProgress({ phase, doneBytes, totalBytes });
          yield chunk;
        }
      };
      return unpackLayer(Readable.from(counted(), { objectMode: false }), compression);
    },
  }));
}

/** Of the layers alone, never of the clock: the same image is the same squashfs at any time. */
function newestOf(root: TreeEntry): number {
  let newest = 0;
  const pending = [root];
  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    newest = Math.max(newest, entry.inode.mtimeSeconds);
    if (entry.inode.kind === 'directory') pending.push(...entry.inode.children.values());
  }
  return newest;
}

function refuseFiles(files: Exclude<BootFiles, { kind: 'found' }>): PackOutcome {
  const looked = files.looked.map((place) => `/${place}`).join(', ');
  if (files.kind === 'no-initrd') {
    return refused(
      'no-initrd',
      `The image has the kernel ${files.kernel} but no initrd (looked for ${looked}). ` +
        'Fix: in the image, dracut --force --no-hostonly --add "livenet dmsquash-live" /boot/initrd <kernel version>',
    );
  }
  if (files.hasUnifiedImage) {
    return refused(
      'unified-kernel-image',
      'The image has a unified kernel image (.efi) and no kernel and initrd of their own. Its command line is signed, so it ' +
        'cannot be told where its root is. Fix: add /boot/vmlinuz and /boot/initrd, or serve its ISO by UEFI HTTP boot.',
    );
  }
  return refused(
    'no-kernel',
    `The image has no kernel (looked for ${looked}). Fix: install one in it, ` +
      'for example apt-get install linux-image-amd64 dracut-network, dnf install kernel-core dracut-network dracut-live',
  );
}

function refused(code: RefusalCode, detail: string): Extract<PackOutcome, { kind: 'refused' }> {
  return { kind: 'refused', refusal: { code, detail } };
}

function ignore(): void {
  // Told elsewhere.
}
