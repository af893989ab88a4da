// Images and loaders for people. Pure.
import type { ImageAnswer, LoaderAnswer } from './api-answers.ts';
import { formatAge, formatBytes } from './format-quantities.ts';
import { formatTable, type TableLayout } from './format-table.ts';
import { printable, type Style } from './style.ts';

export function formatImages(images: readonly ImageAnswer[], now: number, layout: TableLayout): string {
  if (images.length === 0) {
    return '  No images yet. Push one with skopeo or podman, or: muster images import SOURCE --name NAME\n';
  }
  const rows = images.map((view) => [
    layout.style.strong(nameOf(view)),
    view.digest.slice(7, 19),
    stateOf(view, layout.style),
    view.image?.family ?? '–',
    view.image === undefined ? '–' : formatBytes(view.image.squashfs.sizeBytes),
    formatAge(view.createdAt, now),
    printable(view.image === undefined ? '–' : systemOf(view.image)),
  ]);
  return formatTable(['image', 'digest', 'state', 'family', 'squashfs', 'pushed', 'system'], rows, layout);
}

/** One image, with what a table has no room for. */
export function formatImage(view: ImageAnswer, now: number, { style }: TableLayout): string {
  const { image, refusal } = view;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Image', nameOf(view)],
    ['Digest', view.digest],
    ['Pushed', formatAge(view.createdAt, now)],
    ['State', stateOf(view, style)],
    ['Why', refusal && printable(refusal.detail)],
    ['Family', image?.family],
    ['System', image && printable(systemOf(image))],
    ['Platform', image?.architecture],
    ['Kernel', image && partOf(image.kernel)],
    ['Initrd', image && partOf(image.initrd)],
    ['Squashfs', image && partOf(image.squashfs)],
    ['Command line', image && printable(image.commandLine.join(' '))],
  ];
  const shown = facts.filter(([, value]) => value !== undefined && value !== '');
  return shown.map(([name, value]) => `  ${style.faint(name.padEnd(13))} ${value ?? ''}\n`).join('');
}

/** `fleet/os:1, latest, @stable`; without any name its digest tells it apart. */
function nameOf({ name, tags, channels }: ImageAnswer): string {
  const [first, ...others] = [...tags.map((tag) => `:${tag}`), ...channels.map((channel) => `@${channel}`)];
  if (first === undefined) return printable(name);
  return printable([`${name}${first}`, ...others.map((other) => other.replace(/^:/, ''))].join(', '));
}

function stateOf({ state, percent, refusal }: ImageAnswer, style: Style): string {
  switch (state) {
    case 'ready':
      return style.good('ready');
    case 'refused':
      return style.bad(`refused: ${refusal?.code ?? ''}`);
    case 'converting':
      return style.accent(`converting ${percent ?? 0} %`);
    case 'queued':
      return style.warn('waits');
    case 'not-converted':
      return style.faint('not converted');
  }
}

function systemOf({ os, kairos }: NonNullable<ImageAnswer['image']>): string {
  const system = os.prettyName ?? [os.id, os.versionId].filter((word) => word !== undefined).join(' ');
  return kairos === undefined ? system : `${system}, Kairos ${kairos.version}`;
}

function partOf({ digest, sizeBytes }: { digest: string; sizeBytes: number }): string {
  return `${formatBytes(sizeBytes).padEnd(9)} ${digest}`;
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
