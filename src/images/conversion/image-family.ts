// Which family an image belongs to: how its initrd finds a root file system over the network, told by the files that are in
// it. Pure; a new family is a new row.
import type { ImageFamily } from '../boot-image.ts';

/** What an initrd may have inside; one match of the pattern is enough. */
const EVIDENCE = {
  immucore: /(?:^|\/)immucore$/,
  dracut: /(?:^|\/)lib\/dracut(?:\/|$)/,
  // dracut modules 90livenet and 90dmsquash-live: the one fetches the squashfs, the other mounts it.
  livenet: /(?:^|\/)(?:livenetroot(?:\.sh)?|dracut-livenet-generator)$/,
  dmsquashLive: /(?:^|\/)dmsquash-live-root(?:\.sh)?$/,
  liveBoot: /^scripts\/live$/,
  casper: /^scripts\/casper$/,
  initramfsTools: /^scripts\/functions$/,
  // Alpine's mkinitfs.
  mkinitfs: /(?:^|\/)nlplug-findfs$/,
} as const;

export type Evidence = keyof typeof EVIDENCE;

export type FamilyDecision =
  | { readonly kind: 'family'; readonly family: ImageFamily }
  /** `fix` says what to add to the image. */
  | { readonly kind: 'cannot-netboot'; readonly reason: string; readonly fix: string };

interface FamilyRule {
  readonly has: readonly Evidence[];
  readonly lacks?: readonly Evidence[];
  readonly isKairos?: boolean;
  readonly decision: FamilyDecision;
}

const DRACUT_FIX =
  'install dracut-network (Debian, Fedora) and dracut-live (Fedora), then in the image: ' +
  'dracut --force --no-hostonly --add "livenet dmsquash-live" <initrd> <kernel version>';

/** First match wins. */
const RULES: readonly FamilyRule[] = [
  {
    has: ['immucore', 'dracut', 'livenet', 'dmsquashLive'],
    isKairos: true,
    decision: { kind: 'family', family: 'kairos' },
  },
  // Kairos on Alpine has an init of its own, which fetches the same root=live: (kairos-init, initramfs-init).
  { has: ['immucore'], lacks: ['dracut'], isKairos: true, decision: { kind: 'family', family: 'kairos' } },
  {
    has: [],
    isKairos: true,
    decision: {
      kind: 'cannot-netboot',
      reason: 'the image is Kairos, but its initrd has no immucore or no livenet',
      fix: 'build it with kairos-init, or in the image: dracut --force --add "livenet dmsquash-live immucore network"',
    },
  },
  { has: ['livenet', 'dmsquashLive'], decision: { kind: 'family', family: 'dracut-livenet' } },
  { has: ['liveBoot'], decision: { kind: 'family', family: 'debian-live' } },
  {
    has: ['dracut'],
    decision: {
      kind: 'cannot-netboot',
      reason: 'its dracut initrd has not both of the modules livenet and dmsquash-live',
      fix: DRACUT_FIX,
    },
  },
  {
    // casper's do_urlmount takes an ISO file alone, and drops a squashfs without a word.
    has: ['casper'],
    decision: {
      kind: 'cannot-netboot',
      reason: 'a casper initrd fetches an ISO file, never a squashfs',
      fix:
        'replace casper by dracut-live (Ubuntu 24.10) or live-boot, or import the ISO as it is: ' +
        'images import NAME kernel=… initrd=… squashfs=FILE.iso --family casper',
    },
  },
  {
    has: ['initramfsTools'],
    decision: {
      kind: 'cannot-netboot',
      reason: 'its initramfs-tools initrd has no live-boot',
      fix: 'in the image: apt-get install live-boot && update-initramfs -u; or dracut with livenet and dmsquash-live',
    },
  },
  {
    has: ['mkinitfs'],
    decision: {
      kind: 'cannot-netboot',
      reason: "Alpine's own initramfs installs packages; it cannot take a squashfs as its root",
      fix: 'in the image: apk add dracut dracut-modules-network, then dracut --force --add "livenet dmsquash-live"; or import kernel=, initrd= and modloop as squashfs= with --family alpine',
    },
  },
];

/** Gathers what the names of an initrd tell. */
export class InitrdEvidence {
  readonly #found = new Set<Evidence>();

  /** `name` without a slash at its start. */
  see(name: string): void {
    for (const kind of evidenceKinds()) if (EVIDENCE[kind].test(name)) this.#found.add(kind);
  }

  get found(): ReadonlySet<Evidence> {
    return this.#found;
  }
}

export function decideFamily(evidence: ReadonlySet<Evidence>, isKairos: boolean): FamilyDecision {
  const rule = RULES.find(
    ({ has, lacks = [], isKairos: wanted }) =>
      (wanted === undefined || wanted === isKairos) &&
      has.every((kind) => evidence.has(kind)) &&
      !lacks.some((kind) => evidence.has(kind)),
  );
  if (rule !== undefined) return rule.decision;
  return {
    kind: 'cannot-netboot',
    reason: 'nothing in its initrd is known to fetch a root file system over the network',
    fix: DRACUT_FIX,
  };
}

function evidenceKinds(): readonly Evidence[] {
  return ['immucore', 'dracut', 'livenet', 'dmsquashLive', 'liveBoot', 'casper', 'initramfsTools', 'mkinitfs'];
}
