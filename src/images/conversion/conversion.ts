// The way of one OS image from its manifest to what a machine boots. Pure types.
import type { BootImage } from '../boot-image.ts';
import type { Digest } from '../digest.ts';

/** Why an image cannot be booted; codes are API, each with its sentence in docs/images.md. */
export type RefusalCode =
  | 'no-kernel'
  | 'no-initrd'
  | 'initrd-cannot-netboot'
  | 'initrd-unreadable'
  | 'unified-kernel-image'
  | 'no-platform'
  | 'layer-missing'
  | 'layer-refused'
  | 'too-large'
  | 'squashfs-failed'
  | 'no-space'
  | 'interrupted-too-often'
  | 'conversion-failed';

export interface Refusal {
  readonly code: RefusalCode;
  /** One or two sentences: what is wrong, and what to add. */
  readonly detail: string;
}

export type ConversionState =
  | { readonly state: 'queued' }
  | { readonly state: 'converting' }
  /** `manifest` is the boot manifest that this server made, or the pushed manifest where it was a boot manifest itself. */
  | { readonly state: 'ready'; readonly image: BootImage; readonly manifest: Digest }
  | { readonly state: 'refused'; readonly refusal: Refusal };

export type Conversion = ConversionState & {
  readonly repository: string;
  /** Of the OS image's manifest. */
  readonly digest: Digest;
  readonly queuedAt: number;
  /** Of the last change of state. */
  readonly changedAt: number;
  /** How often it was begun. */
  readonly attempts: number;
};

export interface ConversionProgress {
  readonly phase: 'reading layers' | 'packing' | 'storing';
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** 0 to 100 over all phases: packing takes most of the time. */
export function percentOf({ phase, doneBytes, totalBytes }: ConversionProgress): number {
  const share = totalBytes <= 0 ? 0 : Math.min(1, doneBytes / totalBytes);
  switch (phase) {
    case 'reading layers':
      return Math.floor(share * 30);
    case 'packing':
      return Math.floor(30 + share * 65);
    case 'storing':
      return Math.floor(95 + share * 4);
  }
}
