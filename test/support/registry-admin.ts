// What an administrator does beside pushing and pulling: collect garbage, and see what became of the images.
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadClient } from './registry-load-client.ts';

const BOOT_TYPE = 'application/vnd.muster.boot.v1';
const CONVERSION_MILLISECONDS = 60_000;

interface ShownImage {
  readonly reference: string;
  readonly state: string;
  readonly refusal?: { readonly code: string; readonly detail: string };
}

/** What is older than the grace and not needed is gone afterwards. */
export async function collectGarbage(client: LoadClient, graceMilliseconds: number): Promise<void> {
  await client.api('POST', '/images/gc', { graceSeconds: graceMilliseconds / 1_000 });
}

/** Waits until no image waits for its conversion; what was refused for another reason than having no kernel is a fault. */
export async function untilConverted(
  client: LoadClient,
  milliseconds = CONVERSION_MILLISECONDS,
): Promise<readonly string[]> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const { images } = (await client.api('GET', '/images')) as { images: readonly ShownImage[] };
    const waiting = images.filter(({ state }) => state === 'queued' || state === 'converting');
    if (waiting.length === 0) {
      const refused = images.filter(({ refusal }) => refusal !== undefined && refusal.code !== 'no-kernel');
      return refused.map(({ reference, refusal }) => `${reference} was refused: ${refusal?.detail ?? ''}`);
    }
    if (Date.now() > deadline) return waiting.map(({ reference, state }) => `${reference} is still ${state}`);
    await sleep(50);
  }
}

/** Digests of the boot manifests that refer to this image (distribution-spec "Listing Referrers"). */
export async function bootManifestsOf(
  client: LoadClient,
  repository: string,
  digest: string,
): Promise<readonly string[]> {
  const path = `/v2/${repository}/referrers/${digest}?artifactType=${BOOT_TYPE}`;
  const { status, body } = await client.send('GET', path);
  if (status !== 200) return [];
  const { manifests } = JSON.parse(body.toString()) as { manifests: readonly { readonly digest: string }[] };
  return manifests.map((manifest) => manifest.digest);
}
