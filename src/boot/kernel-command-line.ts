// The kernel command line of a netbooted image. Each family of initrds finds its root in its own way. Pure.
import type { BootImage, ImageFamily } from '../images/boot-image.ts';

export interface CommandLineInput {
  readonly image: Pick<BootImage, 'digest' | 'family' | 'commandLine'>;
  readonly profileWords: readonly string[];
  /** In the place of the family's words; `{squashfs}` and `{seed}` in them stand for the URLs. */
  readonly rootWords?: readonly string[] | undefined;
  /** Ends in `.squashfs`: live-boot goes by the ending. */
  readonly squashfsUrl: string;
  /** NoCloud seed; ends with a slash (cloud-init appends the file's name). */
  readonly seedUrl: string;
  readonly apiUrl: string;
  /** SHA-256 of the CA certificate's PEM file, lower-case hex. */
  readonly caSha256: string;
  /** What pins the boot manifest (boot-seal.ts). */
  readonly sealWords?: readonly string[] | undefined;
}

// A root that never comes ends in a reboot and a new try, not in a shell that nobody sees (dracut.cmdline(7)).
const DRACUT_STUBBORN = ['rd.shell=0', 'rd.emergency=reboot', 'panic=10'];

const FAMILY_WORDS: Readonly<Record<ImageFamily, readonly string[]>> = {
  // livenet fetches the squashfs into RAM; the overlay makes the root writable (dracut.cmdline(7)).
  'dracut-livenet': [
    'root=live:{squashfs}',
    'rd.live.image',
    'rd.live.overlay.overlayfs=1',
    'rd.neednet=1',
    'ip=dhcp',
    ...DRACUT_STUBBORN,
  ],
  // `netboot` makes immucore take this for live media, `rd.cos.disable` keeps it from looking for an installed system, and
  // without selinux=0 its Fedora and RHEL flavors hang (kairos-io/kairos#1867). Older agents know `config_url` alone.
  kairos: [
    'root=live:{squashfs}',
    'rd.live.overlay.overlayfs',
    'rd.neednet=1',
    'ip=dhcp',
    'rd.cos.disable',
    'netboot',
    'install-mode',
    'selinux=0',
    'net.ifnames=1',
    'kairos.config_url={seed}user-data',
    'config_url={seed}user-data',
    'console=tty1',
    'console=ttyS0',
    'console=tty0',
    ...DRACUT_STUBBORN,
  ],
  // live-boot(7): `fetch` copies the squashfs to RAM and mounts it under an overlay.
  'debian-live': ['boot=live', 'components', 'fetch={squashfs}', 'ip=dhcp', 'panic=10'],
  // casper goes by the ending .iso; the same bytes are served under either name.
  casper: ['boot=casper', 'netboot=url', 'url={iso}', 'ip=dhcp', 'panic=10'],
  // Alpine's mkinitfs fetches its modules from there and its packages from alpine_repo, which the profile must name.
  alpine: ['modules=loop,squashfs', 'modloop={squashfs}', 'ip=dhcp', 'panic=10'],
};

/** The words of the command line; later ones win where the kernel or a program reads the last. */
export function kernelCommandLine(input: CommandLineInput): readonly string[] {
  const urls: Readonly<Record<string, string>> = {
    squashfs: input.squashfsUrl,
    iso: input.squashfsUrl.replace(/\.squashfs$/, '.iso'),
    seed: input.seedUrl,
  };
  const rootWords = input.rootWords ?? FAMILY_WORDS[input.image.family];
  return [
    ...rootWords.map((word) =>
      word.replaceAll(/\{(squashfs|iso|seed)\}/g, (whole, name: string) => urls[name] ?? whole),
    ),
    // Without dsmode, cloud-init 22.4 takes a seed that it names on the command line for a local one, and drops it
    // (cloudinit/cmd/main.py, main_init).
    `ds=nocloud;dsmode=net;s=${input.seedUrl}`,
    `muster.url=${input.apiUrl}`,
    `muster.ca=sha256:${input.caSha256}`,
    `muster.image=${input.image.digest}`,
    ...(input.sealWords ?? []),
    ...input.image.commandLine,
    ...input.profileWords,
  ];
}
