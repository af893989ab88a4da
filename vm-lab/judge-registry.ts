// Whether an image came into the registry, out of it and onto a machine unchanged, and whether a push sends only what is new.
// Each claim is held against witnesses that know nothing of each other. Pure.
import type { BootEvent } from '../src/events/boot-event.ts';
import { shortReference } from '../src/images/image-reference.ts';
import type { ContainerImage } from './container-image.ts';
import type { Check } from './judge-machine.ts';
import type { CopyReport } from './skopeo.ts';

/** TLS handshakes, headers, questions whether a blob is there, and the manifest: more than these a push needs for itself. */
const OVERHEAD_BYTES = 256 * 1024;

export interface ServedRequest {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

export interface PushEvidence {
  readonly image: ContainerImage;
  readonly report: CopyReport;
  /** What the kernel counted on the way between skopeo and the server. */
  readonly wireBytes: number;
  /** What the server logged meanwhile. */
  readonly requests: readonly ServedRequest[];
}

export function judgeFirstPush({ image, wireBytes }: PushEvidence): Check {
  const bytes = sizeOf(image);
  return {
    claim: 'the first push sent the whole image',
    holds: wireBytes >= bytes,
    found: `${wireBytes} bytes on the wire, ${bytes} in its blobs`,
  };
}

/** What the server says of a machine that booted. */
export interface BootedMachine {
  readonly events: readonly BootEvent[];
  /** What it has on record as the machine's image. */
  readonly image: string | undefined;
}

/** `repository` is what was pushed to. */
export function judgeBootedImage(
  { events, image: recorded }: BootedMachine,
  repository: string,
  image: ContainerImage,
): Check {
  const wanted = `${repository}@${image.manifest.digest}`;
  const served = events.flatMap((event) => (event.kind === 'squashfs-served' ? [imageOf(event)] : []));
  return {
    claim: 'the machine got its root file system from the pushed manifest',
    holds: recorded === wanted && served.length > 0 && served.every((each) => each === shortReference(wanted)),
    found: `${served.join(', ') || 'no root file system was served'}; on record: ${recorded ?? 'no image'}`,
  };
}

/** `differences` names what is not the same in both layouts. */
export function judgePullBack(tag: string, image: ContainerImage, differences: readonly string[]): Check {
  return {
    claim: `${tag} came back byte for byte: manifest, config and ${image.layers.length} layers`,
    holds: differences.length === 0,
    found: differences.join('; ') || 'no difference',
  };
}

export function judgeSecondPush(first: ContainerImage, second: PushEvidence): readonly Check[] {
  const had = new Set(digestsOf(first));
  const wanted = digestsOf(second.image);
  const shared = wanted.filter((digest) => had.has(digest));
  const fresh = wanted.filter((digest) => !had.has(digest));
  const { uploaded, skipped } = second.report;
  const opened = countRequests(second.requests, 'POST', /^\/v2\/.+\/blobs\/uploads\/$/);
  const finished = countRequests(second.requests, 'PUT', /^\/v2\/.+\/blobs\/uploads\/[^/]+$/);
  return [
    {
      claim: 'the second tag shares layers with the first and has one of its own',
      holds: shared.length === first.layers.length && second.image.layers.length === first.layers.length + 1,
      found: `${shared.length} shared, ${fresh.length} new`,
    },
    {
      claim: 'skopeo found every shared layer in the registry and uploaded the rest',
      holds: isSame(skipped, shared) && isSame(uploaded, fresh),
      found: `skipped ${shorten(skipped)}; uploaded ${shorten(uploaded)}`,
    },
    {
      claim: 'the server took in no blob but the new ones',
      holds: opened === fresh.length && finished === fresh.length,
      found: `${opened} uploads begun, ${finished} finished, for ${fresh.length} new blobs`,
    },
    {
      claim: 'no shared layer went over the wire',
      holds: second.wireBytes < OVERHEAD_BYTES + bytesOf(second.image, fresh),
      found: `${second.wireBytes} bytes for ${bytesOf(second.image, fresh)} new ones of ${sizeOf(second.image)}`,
    },
  ];
}

function imageOf(event: BootEvent): string {
  return 'image' in event.details ? shortReference(event.details.image) : '';
}

function digestsOf({ config, layers }: ContainerImage): readonly string[] {
  return [config, ...layers].map(({ digest }) => digest);
}

function bytesOf({ config, layers }: ContainerImage, digests: readonly string[]): number {
  return [config, ...layers].filter(({ digest }) => digests.includes(digest)).reduce((sum, { size }) => sum + size, 0);
}

function sizeOf(image: ContainerImage): number {
  return bytesOf(image, digestsOf(image));
}

function countRequests(requests: readonly ServedRequest[], method: string, path: RegExp): number {
  return requests.filter((request) => request.method === method && path.test(request.path) && request.status < 300)
    .length;
}

function isSame(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && wanted.every((digest) => found.includes(digest));
}

function shorten(digests: readonly string[]): string {
  return digests.map((digest) => digest.slice(7, 19)).join(', ') || 'nothing';
}
