// Images and loaders for people. Pure.
import type { ImageAnswer, LoaderAnswer } from './api-answers.ts';
import { formatAge, formatBytes } from './format-quantities.ts';
import { formatTable, type TableLayout } from './format-table.ts';
import { printable } from './style.ts';

export function formatImages(images: readonly ImageAnswer[], now: number, layout: TableLayout): string {
  if (images.length === 0) {
    return '  No images yet. Add one: muster images import NAME kernel=FILE initrd=FILE squashfs=FILE\n';
  }
  const rows = images.map((image) => [
    layout.style.strong(image.name),
    formatBytes(image.kernel.sizeBytes),
    formatBytes(image.initrd.sizeBytes),
    formatBytes(image.squashfs.sizeBytes),
    formatAge(image.createdAt, now),
    printable(image.commandLine.join(' ') || '–'),
  ]);
  return formatTable(['name', 'kernel', 'initrd', 'squashfs', 'added', 'command line'], rows, layout);
}

export function formatLoaders(loaders: readonly LoaderAnswer[], layout: TableLayout): string {
  const { style } = layout;
  if (loaders.length === 0) return '  No loaders are in the store.\n';
  const rows = loaders.map((loader) => [
    style.strong(loader.name),
    loader.architecture,
    formatBytes(loader.sizeBytes),
    loader.tested ? style.good('tested') : style.warn('untested'),
    loader.licence,
    printable(`${loader.package} ${loader.version}`),
  ]);
  return formatTable(['name', 'architecture', 'size', 'lab', 'licence', 'package'], rows, layout);
}
