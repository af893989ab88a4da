// What a machine boots: kernel, initrd and squashfs of one OS image, each named by digest. Pure types.
import type { Digest } from './digest.ts';

/** How an initrd finds its root over the network; each has its kernel command line in boot/kernel-command-line.ts. */
export const IMAGE_FAMILIES = ['dracut-livenet', 'kairos', 'debian-live', 'casper', 'alpine'] as const;
export type ImageFamily = (typeof IMAGE_FAMILIES)[number];

export interface ImagePart {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BootImage {
  readonly name: string;
  /** Of the OS image's manifest: the one digest that is netbooted and upgraded to. */
  readonly digest: Digest;
  readonly family: ImageFamily;
  readonly kernel: ImagePart;
  readonly initrd: ImagePart;
  readonly squashfs: ImagePart;
  /** Words that this image needs on its command line beside the family's. */
  readonly commandLine: readonly string[];
  readonly os: { readonly id: string; readonly versionId?: string; readonly prettyName?: string };
  readonly kairos?: { readonly version: string; readonly flavor?: string };
  readonly architecture: string;
  /** What the release calls itself: images of one repository are newer or older by it. */
  readonly version?: string;
  /** A machine below this version has to take another image first. */
  readonly requiresVersion?: string;
}

export const BOOT_ARTIFACT_TYPE = 'application/vnd.muster.boot.v1';
export const BOOT_CONFIG_TYPE = 'application/vnd.muster.boot.config.v1+json';
export const BOOT_LAYER_TYPES = {
  kernel: 'application/vnd.muster.boot.kernel',
  initrd: 'application/vnd.muster.boot.initrd',
  squashfs: 'application/vnd.muster.boot.squashfs',
} as const;
