// Kernel, initrd and squashfs as they are: a boot manifest of the three, without any container image.
import type { ImageFamily } from '../../images/boot-image.ts';
import { encodeBootConfig, encodeBootManifest } from '../../images/conversion/boot-manifest.ts';
import { createHash } from 'node:crypto';
import { OCI_MANIFEST_TYPE } from '../../images/registry/oci-manifest.ts';
import type { ProgressTools } from '../progress-line.ts';
import { documentBlob, hashed, notAnImage, type ImageSource, type SourceFile } from './image-source.ts';
import { filesInIso, type IsoFiles } from './iso-files.ts';

export interface BootFileSet {
  readonly kernel: SourceFile;
  readonly initrd: SourceFile;
  readonly squashfs: SourceFile;
  readonly family: ImageFamily;
}

interface BootFilesRequest {
  readonly commandLine: readonly string[];
  readonly architecture: string;
}

export async function openBootFiles(
  files: BootFileSet,
  { commandLine, architecture }: BootFilesRequest,
  tools: ProgressTools & { interrupted: AbortSignal },
): Promise<ImageSource> {
  const kernel = await hashed('kernel', files.kernel, tools);
  const initrd = await hashed('initrd', files.initrd, tools);
  const squashfs = await hashed('squashfs', files.squashfs, tools);
  const { family } = files;
  const encoded = encodeBootConfig({ family, commandLine, os: { id: 'linux' }, architecture }, sha256);
  const config = documentBlob('config', encoded.bytes);
  const { digest, bytes } = encodeBootManifest({ config: encoded, kernel, initrd, squashfs }, sha256);
  const unique = new Map([kernel, initrd, squashfs, config].map((blob) => [blob.digest, blob]));
  return { manifest: { digest, mediaType: OCI_MANIFEST_TYPE, content: bytes }, blobs: [...unique.values()] };
}

/** Where CD images have the three; first match wins. `*` stands for a version, of which the newest counts. */
const ISO_LAYOUTS = [
  { family: 'kairos', kernel: 'boot/kernel', initrd: 'boot/initrd', squashfs: 'rootfs.squashfs' },
  { family: 'debian-live', kernel: 'live/vmlinuz*', initrd: 'live/initrd*', squashfs: 'live/filesystem.squashfs' },
  // Fedora's and RHEL's; their squashfs holds a file system image, which dmsquash-live knows.
  {
    family: 'dracut-livenet',
    kernel: 'images/pxeboot/vmlinuz',
    initrd: 'images/pxeboot/initrd.img',
    squashfs: 'LiveOS/squashfs.img',
  },
  // casper fetches the whole image.
  { family: 'casper', kernel: 'casper/vmlinuz*', initrd: 'casper/initrd*', squashfs: undefined },
] as const;

/** Throws CliError where none of the layouts fits. */
export async function bootFilesInIso(path: string, whole: SourceFile): Promise<BootFileSet> {
  const iso = await filesInIso(path);
  for (const layout of ISO_LAYOUTS) {
    const kernel = await newest(iso, layout.kernel);
    const initrd = await newest(iso, layout.initrd);
    const squashfs = layout.squashfs === undefined ? whole : await iso.find(layout.squashfs);
    if (kernel !== undefined && initrd !== undefined && squashfs !== undefined)
      return { kernel, initrd, squashfs, family: layout.family };
  }
  const known = ISO_LAYOUTS.map(({ kernel }) => `/${kernel}`).join(', ');
  throw notAnImage(
    path,
    `no kernel, initrd and squashfs are where Kairos, Debian live, Fedora or Ubuntu have them (${known}).`,
  );
}

async function newest(iso: IsoFiles, pattern: string): Promise<SourceFile | undefined> {
  if (!pattern.endsWith('*')) return iso.find(pattern);
  const slash = pattern.lastIndexOf('/');
  const folder = pattern.slice(0, slash);
  const prefix = pattern.slice(slash + 1, -1);
  const names = (await iso.list(folder)).filter((name) => name.toLowerCase().startsWith(prefix));
  for (const name of names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) {
    const file = await iso.find(`${folder}/${name}`);
    // Links of Rock Ridge are empty files.
    if (file !== undefined && file.sizeBytes > 0) return file;
  }
  return undefined;
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
