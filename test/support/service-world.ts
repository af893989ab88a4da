// The services over memory stores, with a clock that stands still and a random source that counts: a small world in which a
// test can play a machine's way without sockets.
import { createHash } from 'node:crypto';
import { BootService, type StoredLoader } from '../../src/boot-sessions/boot-service.ts';
import { DiskBootWatch } from '../../src/boot-sessions/disk-boot-watch.ts';
import { BootSessionService } from '../../src/boot-sessions/boot-session-service.ts';
import type { CloudConfig } from '../../src/cloud-config/cloud-config.ts';
import type { RandomSource, Sha256 } from '../../src/clock.ts';
import { EventRecorder } from '../../src/events/event-recorder.ts';
import type { BootEvent } from '../../src/events/boot-event.ts';
import { MachineService } from '../../src/machines/machine-service.ts';
import { ProfileService } from '../../src/machines/profile-service.ts';
import { profileSchema, type Profile } from '../../src/machines/profile.ts';
import { SightingRecorder } from '../../src/machines/sighting-recorder.ts';
import { createMemoryStores } from '../../src/storage/memory/create-memory-stores.ts';
import { NOON, aDigest } from './domain-builders.ts';
import { FakeCatalogue } from './fake-catalogue.ts';

export const sha256: Sha256 = (data) => createHash('sha256').update(data).digest('hex');

export function aProfile(rest: object = {}): Profile {
  return profileSchema.parse({ name: 'lab', boot: { image: 'debian-12' }, ...rest });
}

/** Bytes that are different at each call and the same in each run. */
export function countingRandom(): RandomSource {
  let count = 0;
  return {
    bytes: (length) => {
      count += 1;
      return createHash('sha512').update(String(count)).digest().subarray(0, length);
    },
  };
}

export function aServiceWorld(
  options: {
    profiles?: readonly Profile[];
    layers?: Readonly<Record<string, CloudConfig>>;
    unknownMachines?: 'discover' | 'enroll';
    maxMachines?: number;
  } = {},
) {
  const clock = { time: NOON, now: () => clock.time };
  const scheduler = { after: () => () => undefined };
  const random = countingRandom();
  const stores = createMemoryStores();
  const failures: unknown[] = [];
  const events = new EventRecorder({
    log: stores.events,
    clock,
    scheduler,
    onFailure: (error) => failures.push(error),
  });
  const profiles = new ProfileService({
    profiles: options.profiles ?? [aProfile()],
    layers: new Map(Object.entries(options.layers ?? {})),
    sha256,
  });
  const onFailure = (error: unknown) => failures.push(error);
  const sightings = new SightingRecorder({ store: stores.machines, ...{ clock, scheduler, onFailure } });
  const images = new FakeCatalogue();
  const diskBoots = new DiskBootWatch(clock);
  const machines = new MachineService({
    store: stores.machines,
    ...{ images, sightings, profiles, events, clock, random },
    diskFailures: (machine) => diskBoots.failuresOf(machine),
    settings: { unknownMachines: options.unknownMachines ?? 'discover', maxMachines: options.maxMachines ?? 100 },
  });
  const sessions = new BootSessionService({
    store: stores.sessions,
    ...{ clock, random, sha256 },
    settings: { sessionMinutes: 30 },
  });
  const minted: string[] = [];
  const loader: StoredLoader = { name: 'ipxe.efi', digest: aDigest('e'), sizeBytes: 1000 };
  const boot = new BootService({
    ...{ sessions, machines, images, events, diskBoots },
    withImage: async (_reference, use) => {
      await use();
      return true;
    },
    loaders: new Map([[loader.name, loader]]),
    mintTokenInitrd: (session) => {
      minted.push(session.id);
      return Promise.resolve({ tokenId: `tok_${minted.length}`, initrd: Buffer.from('initrd') });
    },
    settings: { httpPort: () => 8080, apiPort: () => 8443, caSha256: 'c'.repeat(64), artifactsUrl: '' },
    sealOf: () => undefined,
  });
  const recorded = async (): Promise<readonly BootEvent[]> => {
    await events.flush();
    return stores.events.query({ limit: 1000 });
  };
  return { clock, stores, images, events, sightings, machines, sessions, boot, minted, failures, recorded };
}
