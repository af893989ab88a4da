// The kernel command line of a netbooted image. Each family of initrds finds its root in its own way. Pure.
import type { Image } from '../images/image.ts';

export interface CommandLineInput {
  readonly image: Pick<Image, 'family' | 'commandLine'>;
  readonly profileWords: readonly string[];
  readonly squashfsUrl: string;
  /** NoCloud seed; ends with a slash (cloud-init appends the file's name). */
  readonly seedUrl: string;
  readonly apiUrl: string;
  /** SHA-256 of the CA certificate's PEM file, lower-case hex. */
  readonly caSha256: string;
}

/** dracut's livenet fetches the squashfs into RAM; its overlay makes the root writable (dracut.cmdline(7)). */
const FAMILY_WORDS: Readonly<Record<Image['family'], (squashfsUrl: string) => readonly string[]>> = {
  'dracut-livenet': (squashfsUrl) => [
    `root=live:${squashfsUrl}`,
    'rd.live.image',
    'rd.live.overlay.overlayfs=1',
    'rd.neednet=1',
    'ip=dhcp',
    // A root that never comes ends in a reboot and a new try, not in a shell that nobody sees.
    'rd.shell=0',
    'rd.emergency=reboot',
    'panic=10',
  ],
};

/** The words of the command line; later ones win where the kernel or a program reads the last. */
export function kernelCommandLine(input: CommandLineInput): readonly string[] {
  return [
    ...FAMILY_WORDS[input.image.family](input.squashfsUrl),
    // Without dsmode, cloud-init 22.4 takes a seed that it names on the command line for a local one, and drops it
    // (cloudinit/cmd/main.py, main_init).
    `ds=nocloud;dsmode=net;s=${input.seedUrl}`,
    `muster.url=${input.apiUrl}`,
    `muster.ca=sha256:${input.caSha256}`,
    ...input.image.commandLine,
    ...input.profileWords,
  ];
}
