// Finds kernel and initrd in a root file system by the places where distributions put them. Pure; symbolic links are followed
// inside the root.
import type { FileInode, FileTree, TreeEntry } from '../flatten/file-tree.ts';
import { displayPath, listDirectory, resolvePath } from '../flatten/find-in-tree.ts';

interface FoundFile {
  /** Of the file itself, after all links: `/boot/vmlinuz-6.1`. */
  readonly path: string;
  readonly entry: TreeEntry;
  readonly inode: FileInode;
}

export type BootFiles =
  | { readonly kind: 'found'; readonly kernel: FoundFile; readonly initrd: FoundFile; readonly kernelVersion?: string }
  | { readonly kind: 'no-kernel'; readonly looked: readonly string[]; readonly hasUnifiedImage: boolean }
  | { readonly kind: 'no-initrd'; readonly kernel: string; readonly looked: readonly string[] };

/** First match wins; of those that fit a pattern the newest. `*` stands for the kernel's version. */
const KERNELS = [
  'boot/vmlinuz',
  'boot/vmlinuz-*',
  'boot/kernel',
  'boot/kernel-*',
  'boot/Image',
  'boot/Image-*',
  'vmlinuz',
  'usr/lib/modules/*/vmlinuz',
  'lib/modules/*/vmlinuz',
] as const;
const INITRDS = [
  'boot/initrd',
  'boot/initrd.img',
  'boot/initrd.img-*',
  'boot/initrd-*',
  'boot/initramfs-*.img',
  'boot/initramfs-*',
  'initrd.img',
  'usr/lib/modules/*/initramfs.img',
  'usr/lib/modules/*/initrd',
  'lib/modules/*/initramfs.img',
] as const;
/** Where unified kernel images lie (Boot Loader Specification, type 2). */
const UNIFIED_IMAGE_FOLDERS = ['boot/EFI/Linux', 'boot/efi/EFI/Linux', 'efi/EFI/Linux', 'EFI/Linux'];
/** Initrds for rescue and crash dumps lie beside those for booting. */
const NOT_FOR_BOOTING = /(?:rescue|fallback|kdump|\.old$|\.bak$|-debug$)/;

export function findBootFiles(tree: FileTree): BootFiles {
  const kernel = firstFile(tree, KERNELS);
  if (kernel === undefined) return { kind: 'no-kernel', looked: KERNELS, hasUnifiedImage: hasUnifiedImage(tree) };
  const { version } = kernel;
  const initrd = firstFile(tree, initrdPlaces(kernel));
  if (initrd === undefined) return { kind: 'no-initrd', kernel: kernel.file.path, looked: INITRDS };
  return {
    kind: 'found',
    kernel: kernel.file,
    initrd: initrd.file,
    ...(version !== undefined && { kernelVersion: version }),
  };
}

/** The regular file at this path, after all links. */
function fileAt(tree: FileTree, path: string): FoundFile | undefined {
  const outcome = resolvePath(tree, path);
  if (outcome.kind !== 'found' || outcome.entry.inode.kind !== 'file') return undefined;
  const { entry } = outcome;
  return { path: displayPath(entry), entry, inode: outcome.entry.inode };
}

interface Candidate {
  readonly file: FoundFile;
  readonly version?: string;
  /** Whether it was found by a pattern, among others perhaps. */
  readonly byPattern: boolean;
}

/**
 * An initrd has the modules of one kernel. Where the kernel is the one that `boot/vmlinuz` names, `boot/initrd` is its twin;
 * else the one of the same version is.
 */
function initrdPlaces({ version, byPattern }: Candidate): readonly string[] {
  const plain = INITRDS.filter((place) => !place.includes('*'));
  const same =
    version === undefined
      ? []
      : INITRDS.filter((place) => place.includes('*')).map((place) => place.replace('*', () => version));
  return byPattern ? [...same, ...INITRDS] : [...plain, ...same, ...INITRDS];
}

function firstFile(tree: FileTree, places: readonly string[]): Candidate | undefined {
  for (const place of places) {
    for (const path of expand(tree, place)) {
      const file = fileAt(tree, path);
      if (file === undefined || file.inode.sizeBytes === 0) continue;
      const version = versionOf(file.path) ?? versionOf(path);
      return { file, byPattern: place.includes('*'), ...(version !== undefined && { version }) };
    }
  }
  return undefined;
}

function expand(tree: FileTree, place: string): readonly string[] {
  const star = place.indexOf('*');
  if (star < 0) return [place];
  const folder = place.slice(0, place.lastIndexOf('/', star));
  const prefix = place.slice(folder.length + 1, star);
  const [suffix = '', ...below] = place.slice(star + 1).split('/');
  return namesIn(tree, folder)
    .filter((name) => name.length > prefix.length + suffix.length && name.startsWith(prefix) && name.endsWith(suffix))
    .filter((name) => !NOT_FOR_BOOTING.test(name))
    .sort(newestFirst)
    .map((name) => [folder, name, ...below].join('/'));
}

/** `boot/vmlinuz-6.1.0-42-amd64` and `usr/lib/modules/6.1.0-42-amd64/vmlinuz` both say it. */
function versionOf(path: string): string | undefined {
  const folder = /(?:^|\/)lib\/modules\/([^/]+)\//.exec(path)?.[1];
  return folder ?? /\/(?:vmlinuz|kernel|Image)-([^/]+)$/.exec(path)?.[1];
}

function newestFirst(a: string, b: string): number {
  return b.localeCompare(a, 'en', { numeric: true }) || (a < b ? 1 : -1);
}

function hasUnifiedImage(tree: FileTree): boolean {
  return UNIFIED_IMAGE_FOLDERS.some((folder) => namesIn(tree, folder).some((name) => /\.efi$/i.test(name)));
}

function namesIn(tree: FileTree, folder: string): readonly string[] {
  return listDirectory(tree, folder).map(({ name }) => name);
}
