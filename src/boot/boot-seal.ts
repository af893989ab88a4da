// What a machine is to compare its boot with: the digests of kernel, initrd and squashfs of one image, in a small manifest that
// travels in the second initrd, signed, with its own digest on the kernel command line. Pure. The machine's side is
// boot-assets/initrd.
import { Buffer } from 'node:buffer';
import type { Sha256 } from '../clock.ts';
import type { BootImage } from '../images/boot-image.ts';
import type { InitrdFile } from './build-token-initrd.ts';

/** `required`: a machine whose initrd cannot compare stops. `when-possible`: it says so and goes on. */
export type VerifyRoot = 'when-possible' | 'required' | 'off';

export interface BootSeal {
  /** JSON with one member on a line, for a shell reads it. The same image gives the same bytes. */
  readonly manifest: Uint8Array;
  /** Words for the kernel command line. */
  readonly words: readonly string[];
}

/** Texts of boot-assets/initrd. */
export interface SealAssets {
  readonly script: string;
  readonly service: string;
  readonly dropIn: string;
  readonly tmpfiles: string;
}

/**
 * The seal of a boot; undefined where there is none to check: by the settings, or because the family's initrds are not dracut's.
 * The pin is the digest of the manifest itself and not of a key, so that an older manifest, though well signed, does not fit.
 */
export function sealBoot(image: BootImage, verifyRoot: VerifyRoot, sha256: Sha256): BootSeal | undefined {
  if (verifyRoot === 'off' || !(image.family === 'dracut-livenet' || image.family === 'kairos')) return undefined;
  const { kernel, initrd, squashfs } = image;
  const content = {
    schema: 'muster.boot/v1',
    image: `${image.name}@${image.digest}`,
    kernel: kernel.digest,
    initrd: initrd.digest,
    squashfs: squashfs.digest,
  };
  const manifest = Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`);
  const required = verifyRoot === 'required' ? ['muster.verify=required'] : [];
  return { manifest, words: [`muster.boot=sha256:${sha256(manifest)}`, ...required] };
}

/** What the second initrd carries for a sealed boot. `signature`: DER, ECDSA P-256 with SHA-256 over the manifest. */
export function sealFiles(seal: BootSeal, signature: Uint8Array, assets: SealAssets): readonly InitrdFile[] {
  const units = 'usr/lib/systemd/system';
  return [
    { path: 'muster/boot.json', content: seal.manifest },
    { path: 'muster/boot.json.sig', content: signature },
    { path: 'usr/lib/muster/verify-root.sh', content: assets.script },
    { path: `${units}/muster-verify-root.service`, content: assets.service },
    { path: `${units}/sysroot.mount.d/muster.conf`, content: assets.dropIn },
    { path: `${units}/initrd-root-fs.target.d/muster.conf`, content: assets.dropIn },
    { path: 'usr/lib/tmpfiles.d/muster-boot.conf', content: assets.tmpfiles },
  ];
}
