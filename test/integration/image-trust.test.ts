// Signing, verifying and promoting against a registry on a socket; skopeo and openssl as the second opinion on our signatures.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadTrustedKeys } from '../../src/crypto/image-keys.ts';
import { parseDigest, type Digest } from '../../src/images/digest.ts';
import { IMAGE, REPO } from '../support/registry-http.ts';
import { capture, Scratch } from '../support/openssl.ts';
import { cosignManifest, cosignPayload, digestOf, opensslKeyPair, opensslSign } from '../support/signature-builders.ts';
import { aTrustWorld, TOKEN } from '../support/trust-world.ts';

const REFERENCE = `${REPO}@${IMAGE.digest}`;
const RULES = { require: [], channels: { stable: { require: ['release'] } } };

let scratch: Scratch;
let world: Awaited<ReturnType<typeof aTrustWorld>>;

beforeAll(async () => {
  scratch = await Scratch.open();
  for (const name of ['release', 'other']) await opensslKeyPair(scratch, name);
});
afterAll(() => scratch[Symbol.asyncDispose]());
beforeEach(async () => {
  const keys = await loadTrustedKeys({ keys: [scratch.file('release.pub')], ...RULES });
  world = await aTrustWorld(keys, RULES, scratch.path);
  await world.http.pushImage();
});
afterEach(() => world.close());

describe('muster images sign and verify', () => {
  it('puts a signature under the .sig tag and among the referrers, once, and server and key agree on it', async () => {
    expect(await world.run('sign', `${REPO}:v1`, '--key', 'release.key')).toBe(
      `  ✓ ${REFERENCE} is signed by release\n  It is not converted yet: sign it again when \`muster images list\` says ready, or machines with a disk will not take it.\n`,
    );
    const tag = `sha256-${IMAGE.digest.slice(7)}.sig`;
    const [referrer] = await world.store.listReferrers(REPO, IMAGE.digest);
    expect(referrer?.digest).toBe(await world.store.resolveTag(REPO, tag));
    expect(referrer?.artifactType).toBe('application/vnd.dev.cosign.artifact.sig.v1+json');

    expect(await world.run('verify', `${REPO}:v1`, '--key', 'release.pub')).toMatch(
      /valid .*by release .*the \.sig tag\n {2}✓ trusted\n$/,
    );
    expect(await world.run('verify', `${REPO}:v1`, '--channel', 'stable')).toContain('✓ trusted');
    expect(await world.run('sign', REFERENCE, '--key', 'release.key')).toContain('is signed by release already');
    expect(await world.store.listReferrers(REPO, IMAGE.digest)).toHaveLength(1);
  });

  it('keeps the signatures of others when one is added', async () => {
    for (const key of ['other.key', 'release.key']) await world.run('sign', `${REPO}:v1`, '--key', key);
    expect(await world.run('verify', `${REPO}:v1`, '--key', 'other.pub')).toContain('✓ trusted');
    expect(await world.run('verify', `${REPO}:v1`, '--channel', 'stable')).toContain('✓ trusted');
  });

  it('says who did not sign: nobody, another key, another digest', async () => {
    expect(await world.run('verify', `${REPO}:v1`, '--key', 'release.pub')).toMatch(
      /It has no signature\.\n {2}✗ not trusted: .*\nimage-untrusted: fleet\/os:v1 is not trusted\./,
    );
    await world.run('sign', `${REPO}:v1`, '--key', 'other.key');
    expect(await world.run('verify', `${REPO}:v1`, '--channel', 'stable')).toContain('it was made with another key');
    expect(await world.run('verify', `${REPO}:v2`, '--key', 'release.pub')).toContain(
      'not-found: There is no fleet/os:v2',
    );
  });

  it('makes what skopeo pulls as an image and openssl verifies, payload and annotation', async () => {
    await world.run('sign', `${REPO}:v1`, '--key', 'release.key');
    const source = `docker://127.0.0.1:${world.port}/${REPO}:sha256-${IMAGE.digest.slice(7)}.sig`;
    const login = ['--src-tls-verify=false', '--src-creds', `any:${TOKEN}`];
    await capture('skopeo', ['--insecure-policy', 'copy', ...login, source, `dir:${scratch.file('pulled')}`]);
    const manifest = JSON.parse(await scratch.read('pulled/manifest.json')) as {
      layers: { digest: string; annotations: Record<string, string> }[];
    };
    const [layer] = manifest.layers;
    const signature = Buffer.from(layer!.annotations['dev.cosignproject.cosign/signature']!, 'base64');
    const files = [await scratch.write('pulled.sig', signature), scratch.file(`pulled/${layer!.digest.slice(7)}`)];
    expect(
      await capture('openssl', ['dgst', '-sha256', '-verify', scratch.file('release.pub'), '-signature', ...files]),
    ).toContain('Verified OK');
    expect(JSON.parse(await scratch.read(`pulled/${layer!.digest.slice(7)}`))).toEqual({
      critical: {
        identity: { 'docker-reference': `127.0.0.1:${world.port}/${REPO}` },
        image: { 'docker-manifest-digest': IMAGE.digest },
        type: 'cosign container image signature',
      },
      optional: null,
    });
  });
});

describe('muster images channels', () => {
  it('refuses to promote what is not signed as the channel demands, and says why, then does', async () => {
    const promote = () => world.run('channels', 'promote', `${REPO}@stable`, '--to', `${REPO}:v1`, '--note', 'ready');
    expect(await promote()).toBe(
      `conflict: Nothing was changed: ${REFERENCE} is not trusted: it has no signature, and channel stable requires a signature by release.`,
    );
    expect(world.events).toMatchObject([{ kind: 'image-untrusted', details: { channel: 'stable' } }]);

    await putForeignSignature(digestOf('another image'));
    expect(await promote()).toContain(`release signed another digest (${digestOf('another image')})`);
    await putForeignSignature(IMAGE.digest);
    expect(await promote()).toBe(`  ✓ ${REPO}@stable points to ${IMAGE.digest.slice(0, 19)} (${REPO}:v1)\n`);
    expect(await promote()).toContain('already');
    expect(await world.channelStore.pinned()).toEqual(new Set([IMAGE.digest]));
    expect(await world.run('verify', `${REPO}@stable`)).toContain('✓ trusted');
  });

  it('lists, rolls back in one command and keeps the history, for people and programs', async () => {
    expect(await world.run('channels', 'list')).toContain('No channels yet');
    const config = JSON.stringify({ config: {} });
    await world.http.push(REPO, { digest: digestOf(config), bytes: Buffer.from(config) });
    const second = await pushAnother();
    const promote = (to: string, note: string) =>
      world.run('channels', 'promote', `${REPO}@beta`, '--to', to, '--note', note);
    await promote(`${REPO}:v1`, 'first');
    await promote(`${REPO}:v2`, 'second');
    expect(await world.run('channels', 'list')).toMatch(
      new RegExp(
        `CHANNEL .*\\n +fleet/os@beta +${second.slice(0, 19)} +fleet/os:v2 +${IMAGE.digest.slice(0, 19)} .*admin +second\\n`,
      ),
    );
    expect(await world.run('channels', 'rollback', `${REPO}@beta`, '--note', 'broken')).toBe(
      `  ✓ ${REPO}@beta points to ${IMAGE.digest.slice(0, 19)} (${REPO}:v1), before ${second.slice(0, 19)}\n`,
    );
    expect(await world.run('channels', 'rollback', `${REPO}@beta`)).toContain('has no release before this one');
    const rows = (await world.run('channels', 'history', `${REPO}@beta`)).trim().split('\n').slice(1);
    expect(rows.map((row) => row.trim().split(/ {2,}/).slice(0, 2))).toEqual([
      ['#3', 'rolled back'],
      ['#2', 'promoted'],
      ['#1', 'promoted'],
    ]);
    const json = JSON.parse(await world.run('channels', 'history', `${REPO}@beta`, '--json')) as { moves: object[] };
    expect(json.moves[0]).toMatchObject({ kind: 'rolled-back', digest: IMAGE.digest, by: 'admin', note: 'broken' });
  });

  it('removes a channel for a reason, and tells of it in its history alone', async () => {
    const remove = () => world.run('channels', 'remove', `${REPO}@beta`, '--note', 'the pilot is over');
    expect(await remove()).toBe(`not-found: Nothing was changed: there is no channel ${REPO}@beta.`);
    await world.run('channels', 'promote', `${REPO}@beta`, '--to', `${REPO}:v1`, '--note', 'first');
    expect(await remove()).toBe(
      `  ✓ ${REPO}@beta is removed; it pointed to ${IMAGE.digest.slice(0, 19)} (${REPO}:v1)\n`,
    );
    expect(await world.run('channels', 'list')).toContain('No channels yet');
    expect(await world.channelStore.pinned()).toEqual(new Set());
    const history = await world.run('channels', 'history', `${REPO}@beta`);
    expect(history).toMatch(/#2 +removed +sha256:\S+ +fleet\/os:v1 .*admin +the pilot is over\n +#1 +promoted/);
    expect(world.events.at(-1)).toMatchObject({ kind: 'channel-removed', details: { by: 'admin', channel: 'beta' } });
  });

  it('explains itself where the word is no channel', async () => {
    expect(await world.run('channels', 'history', REPO)).toContain('write NAME@CHANNEL, as in fleet/os@stable');
  });
});

/** Signature of the image by openssl, in a manifest as cosign pushes it. */
async function putForeignSignature(named: string): Promise<void> {
  const payload = cosignPayload(`ghcr.io/${REPO}`, named);
  const signature = await opensslSign(scratch, scratch.file('release.key'), payload);
  const manifest = cosignManifest([{ payload, signature }]);
  await world.http.push(
    REPO,
    { digest: digestOf(payload), bytes: payload },
    { digest: digestOf('{}'), bytes: Buffer.from('{}') },
  );
  const tag = `sha256-${IMAGE.digest.slice(7)}.sig`;
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  expect((await world.http.putManifest(REPO, tag, { bytes: manifest, mediaType })).statusCode).toBe(201);
}

/** IMAGE with an annotation, as v2. */
async function pushAnother(): Promise<Digest> {
  const manifest = { ...(JSON.parse(IMAGE.bytes.toString()) as object), annotations: { version: '2' } };
  const bytes = Buffer.from(JSON.stringify(manifest));
  expect((await world.http.putManifest(REPO, 'v2', { bytes, mediaType: IMAGE.mediaType })).statusCode).toBe(201);
  return parseDigest(digestOf(bytes))!;
}
