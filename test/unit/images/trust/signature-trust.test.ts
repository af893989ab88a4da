import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSigner, loadTrustedKeys } from '../../../../src/crypto/image-keys.ts';
import { parseDigest } from '../../../../src/images/digest.ts';
import { renderSignaturePayload, type SigningKey } from '../../../../src/images/trust/signature.ts';
import {
  buildSignatureManifest,
  OCI_MANIFEST_TYPE,
  parseSignatureManifest,
  signatureLayer,
  signatureTag,
} from '../../../../src/images/trust/signature-manifest.ts';
import { SignatureTrust } from '../../../../src/images/trust/signature-trust.ts';
import type { TrustRequirements } from '../../../../src/images/trust/trust-policy.ts';
import { Scratch } from '../../../support/openssl.ts';
import {
  cosignManifest,
  cosignPayload,
  digestOf,
  FakeSignatureSource,
  opensslKeyPair,
  opensslSign,
  sha256,
} from '../../../support/signature-builders.ts';

const IMAGE = digestOf('image');
const SIG_TAG = `sha256-${IMAGE.slice(7)}.sig`;
const STABLE: TrustRequirements = {
  require: [],
  channels: { stable: { require: ['release', 'qa'] }, beta: { require: ['release'] } },
};

let scratch: Scratch;
let pairs: Record<'release' | 'qa' | 'stranger', { key: string; pub: string }>;
let keys: readonly SigningKey[];

beforeAll(async () => {
  scratch = await Scratch.open();
  pairs = {
    release: await opensslKeyPair(scratch, 'release'),
    qa: await opensslKeyPair(scratch, 'qa'),
    stranger: await opensslKeyPair(scratch, 'stranger'),
  };
  keys = await trusted([pairs.release.pub, pairs.qa.pub]);
});
afterAll(() => scratch[Symbol.asyncDispose]());

describe('SignatureTrust', () => {
  it('asks nobody where no key is required', async () => {
    const { source, trust } = world({ require: [], channels: {} });
    expect(await trust.decide('fleet/os', IMAGE, 'nightly')).toEqual({ kind: 'trusted' });
    expect(source.asked).toBe(0);
  });

  it('refuses an image without a signature and names the keys that it needs', async () => {
    const { trust } = world();
    expect(await trust.decide('fleet/os', IMAGE, 'stable')).toEqual({
      kind: 'refused',
      reason: 'it has no signature, and channel stable requires a signature by release and qa',
    });
  });

  it('holds every image to images.require, whatever way it is named', async () => {
    const { source, trust } = world({ require: ['release'], channels: { stable: { require: ['qa'] } } });
    expect(await trust.decide('fleet/os', IMAGE)).toMatchObject({
      reason: expect.stringContaining('the settings require'),
    });
    source.tag(SIG_TAG, cosignManifest([await signed(source, 'release')]));
    expect(await trust.decide('fleet/os', IMAGE)).toEqual({ kind: 'trusted' });
    expect(await trust.decide('fleet/os', IMAGE, 'stable')).toEqual({
      kind: 'refused',
      reason: 'channel stable requires a signature by qa (signed by release only)',
    });
  });

  it('takes signatures from the tag that cosign writes and from referrers, and needs every key', async () => {
    const { source, trust } = world();
    source.tag(SIG_TAG, cosignManifest([await signed(source, 'release')]));
    expect(await trust.decide('fleet/os', IMAGE, 'beta')).toEqual({ kind: 'trusted' });
    expect((await trust.decide('fleet/os', IMAGE, 'stable')).kind).toBe('refused');
    source.refer(IMAGE, cosignManifest([await signed(source, 'qa')]));
    expect(await trust.decide('fleet/os', IMAGE, 'stable')).toEqual({ kind: 'trusted' });
  });

  it('takes two signatures in one manifest, as cosign adds them', async () => {
    const { source, trust } = world();
    source.tag(SIG_TAG, cosignManifest([await signed(source, 'release'), await signed(source, 'qa')]));
    expect(await trust.decide('fleet/os', IMAGE, 'stable')).toEqual({ kind: 'trusted' });
  });

  it('says why each signature does not count', async () => {
    const { source, trust } = world();
    const other = await signed(source, 'release', cosignPayload('fleet/os', digestOf('other')));
    source.tag(SIG_TAG, cosignManifest([await signed(source, 'stranger'), other]));
    expect(await trust.decide('fleet/os', IMAGE, 'beta')).toEqual({
      kind: 'refused',
      reason: `channel beta requires a signature by release (of a signature: it was made with another key; of a signature: release signed another digest (${digestOf('other')}))`,
    });
  });

  it('does not fall for a payload that is gone, a manifest that is none, or __proto__ as a channel', async () => {
    const { source, trust } = world();
    const payload = cosignPayload('fleet/os', IMAGE);
    const signature = await opensslSign(scratch, pairs.release.key, payload);
    source.tag(SIG_TAG, cosignManifest([{ payload, signature }]));
    source.refer(IMAGE, Buffer.from('[]'));
    source.refer(IMAGE, Buffer.from('not JSON'));
    expect(await trust.decide('fleet/os', IMAGE, 'beta')).toMatchObject({
      reason: expect.stringContaining('its payload is missing'),
    });
    expect(await trust.decide('fleet/os', IMAGE, '__proto__')).toEqual({ kind: 'trusted' });
  });

  it('reports a signature once, though it lies in both places', async () => {
    const { source, trust } = world();
    const manifest = cosignManifest([await signed(source, 'release')]);
    source.tag(SIG_TAG, manifest);
    source.refer(IMAGE, cosignManifest([await signed(source, 'release')], { annotations: { a: 'b' } }));
    source.refer(IMAGE, manifest);
    const { signatures } = await trust.report('fleet/os', IMAGE);
    // ECDSA is random: the same payload signed twice gives two signatures.
    expect(signatures.map(({ place, verdict }) => [place === SIG_TAG, verdict])).toEqual([
      [true, { kind: 'valid', key: 'release' }],
      [false, { kind: 'valid', key: 'release' }],
    ]);
  });
});

describe('buildSignatureManifest', () => {
  it('has the tag, the layer, the annotation and the config of cosign, and the image as subject', async () => {
    const { sign } = await loadSigner(pairs.release.key);
    const payload = renderSignaturePayload({ reference: 'muster:8443/fleet/os', digest: IMAGE });
    const signature = sign(payload);
    const layers = [signatureLayer(payload, signature, sha256)];
    const image = { digest: IMAGE, mediaType: OCI_MANIFEST_TYPE, sizeBytes: 500 };
    const built = buildSignatureManifest(image, layers, sha256);
    expect(signatureTag(IMAGE)).toBe(SIG_TAG);
    expect(signatureTag(parseDigest(`sha512:${'a'.repeat(128)}`)!)).toBeUndefined();
    expect(JSON.parse(Buffer.from(built.manifest).toString())).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        size: built.config.length,
        digest: digestOf(built.config),
      },
      layers: [
        {
          mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
          size: payload.length,
          digest: digestOf(payload),
          annotations: { 'dev.cosignproject.cosign/signature': Buffer.from(signature).toString('base64') },
        },
      ],
      subject: { mediaType: OCI_MANIFEST_TYPE, size: 500, digest: IMAGE },
    });
    expect(parseSignatureManifest(built.manifest)).toMatchObject([{ payload: digestOf(payload), layer: layers[0] }]);
  });

  it('keeps layers that cosign wrote, with all their annotations', () => {
    const theirs = cosignManifest([{ payload: cosignPayload('fleet/os', IMAGE), signature: 'AAAA' }]).toString();
    const withBundle = theirs.replace('"dev.cosignproject', '"dev.sigstore.cosign/bundle":"{}","dev.cosignproject');
    const [found] = parseSignatureManifest(Buffer.from(withBundle)) ?? [];
    const image = { digest: IMAGE, mediaType: OCI_MANIFEST_TYPE, sizeBytes: 500 };
    const { manifest } = buildSignatureManifest(image, [found!.layer], sha256);
    expect(Buffer.from(manifest).toString()).toContain('"dev.sigstore.cosign/bundle":"{}"');
  });
});

function world(requirements = STABLE) {
  const source = new FakeSignatureSource();
  return { source, trust: new SignatureTrust({ source, keys, requirements }) };
}

/** Signs with openssl and puts the payload in place. */
async function signed(
  source: FakeSignatureSource,
  by: keyof typeof pairs,
  payload = cosignPayload('ghcr.io/fleet/os', IMAGE),
) {
  source.put(payload);
  return { payload, signature: await opensslSign(scratch, pairs[by].key, payload) };
}

function trusted(files: readonly string[]): Promise<readonly SigningKey[]> {
  return loadTrustedKeys({ keys: files, require: [], channels: {} });
}
