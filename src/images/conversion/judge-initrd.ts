// Looks into an initrd and says which family it makes of its image, or what it lacks.
import type { Readable } from 'node:stream';
import type { ImageFamily } from '../boot-image.ts';
import type { Refusal } from './conversion.ts';
import { decideFamily, InitrdEvidence } from './image-family.ts';
import { scanInitrd, type OpenDecompressor } from './scan-initrd.ts';

export type InitrdJudgement =
  { readonly kind: 'family'; readonly family: ImageFamily } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** `path` is the initrd's in the image, for the message. */
export async function judgeInitrd(
  initrd: { readonly path: string; readonly content: Readable; readonly isKairos: boolean },
  openDecompressor: OpenDecompressor,
): Promise<InitrdJudgement> {
  const evidence = new InitrdEvidence();
  const scan = await scanInitrd(initrd.content, openDecompressor, (name) => {
    evidence.see(name);
  });
  if (scan.kind === 'opaque') {
    const detail =
      `Nobody can look into ${initrd.path}: ${scan.reason}. ` +
      'Pack it with gzip, zstd or xz (which this server needs for it: apt-get install xz-utils), as a plain cpio archive.';
    return { kind: 'refused', refusal: { code: 'initrd-unreadable', detail } };
  }
  const decision = decideFamily(evidence.found, initrd.isKairos);
  if (decision.kind === 'family') return decision;
  const detail = `${initrd.path} cannot fetch its root over the network: ${decision.reason}. Fix: ${decision.fix}`;
  return { kind: 'refused', refusal: { code: 'initrd-cannot-netboot', detail } };
}
