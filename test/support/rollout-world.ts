// A rollout service over stores, with a clock that is set by hand and a fleet of machines that do what orders say: one step of a
// machine's life for each beat.
import { EventRecorder } from '../../src/events/event-recorder.ts';
import type { SigningKey } from '../../src/images/trust/signature.ts';
import type { Digest } from '../../src/images/digest.ts';
import type { AgentBeat } from '../../src/machines/agent-beat.ts';
import type { MachineId } from '../../src/machines/machine.ts';
import { RolloutService } from '../../src/rollouts/rollout-service.ts';
import { createMemoryStores } from '../../src/storage/memory/create-memory-stores.ts';
import type { Stores } from '../../src/storage/stores.ts';
import { aDigest, aMac, aMachine, aMachineId, NOON } from './domain-builders.ts';
import { ManualScheduler } from './fake-udp.ts';

export const OLD = aDigest('a');
const BEAT_MS = 30_000;

/** What becomes of a machine that takes an order. */
export type Fate = 'boots' | 'falls-back' | 'refuses' | 'goes-silent';

interface SimulatedMachine {
  readonly id: MachineId;
  boots: number;
  image: Digest;
  phase?: 'downloading' | 'rebooting' | undefined;
  failed?: Digest | undefined;
  refused: boolean;
  isSilent: boolean;
}

export interface RolloutWorldOptions {
  readonly stores?: Stores;
  readonly machines: number;
  readonly labels?: (index: number) => Readonly<Record<string, string>>;
  readonly fate?: (id: MachineId, image: Digest) => Fate;
  readonly operatorKeys?: readonly SigningKey[];
  readonly allowUnsigned?: boolean;
  readonly source?: 'network' | 'disk';
}

export async function aRolloutWorld(options: RolloutWorldOptions) {
  const stores = options.stores ?? createMemoryStores();
  const source = options.source ?? 'disk';
  const fate = options.fate ?? ((): Fate => 'boots');
  let now = NOON;
  const clock = { now: () => now };
  const scheduler = new ManualScheduler();
  const events = new EventRecorder({
    log: stores.events,
    clock,
    scheduler,
    onFailure: (error) => failures.push(error),
  });
  const failures: unknown[] = [];
  let drawn = 0;
  const open = (): RolloutService =>
    new RolloutService({
      ...{ events, clock, scheduler },
      store: stores.rollouts,
      machines: stores.machines,
      random: { bytes: (count) => Buffer.alloc(count, (drawn += 1)) },
      imageOf: (reference) =>
        Promise.resolve({
          repository: 'fleet/os',
          digest: reference.split('@')[1] as Digest,
          bootDigest: aDigest('f'),
          sizeBytes: 1000,
        }),
      operatorKeys: options.operatorKeys ?? [],
      onFailure: (error) => failures.push(error),
      settings: {
        tickMilliseconds: 1000,
        offlineSeconds: 180,
        allowUnsigned: options.allowUnsigned ?? true,
        maxMachines: 100_000,
      },
    });
  let service = open();
  const fleet: SimulatedMachine[] = [];
  for (let index = 0; index < options.machines; index += 1) {
    const id = aMachineId(`m-${String(index).padStart(5, '0')}`);
    fleet.push({ id, boots: 1, image: OLD, refused: false, isSilent: false });
    await stores.machines.insert(
      aMachine({
        ...{ id, macs: [aMac(index + 1)], state: 'active', labels: options.labels?.(index) ?? {} },
        image: `fleet/os@${OLD}`,
        running: {
          image: OLD,
          source,
          bootId: `${id} 1`,
          since: NOON,
          ...(source === 'disk' && { slotState: 'good' }),
        },
        ...(source === 'disk' && { installedAt: NOON }),
      }),
    );
  }

  const beat = async (one: SimulatedMachine): Promise<void> => {
    const machine = await stores.machines.find(one.id);
    if (machine === undefined || one.isSilent) return;
    const order = service.loop.orderOf(machine);
    await live(one, order?.image);
    const bootId = `${one.id} ${one.boots}`;
    const running = { image: one.image, source, bootId, ...(source === 'disk' && { slotState: 'good' as const }) };
    const said: AgentBeat = {
      running,
      ...(one.failed !== undefined && { failedImage: { digest: one.failed, reason: 'its health probe failed' } }),
      ...(order !== undefined && one.phase !== undefined && { order: { id: order.rollout, phase: one.phase } }),
      ...(order !== undefined &&
        one.refused && { order: { id: order.rollout, phase: 'refused', reason: 'downgrade' } }),
    };
    const changed =
      machine.running?.bootId !== bootId ? { running: { ...running, since: now }, image: `fleet/os@${one.image}` } : {};
    const saved = await stores.machines.save({ ...machine, ...changed, lastSeenAt: now });
    if (saved.kind !== 'saved') throw new Error('the simulation alone writes machines');
    service.loop.observe(one.id, said);
  };
  const live = (one: SimulatedMachine, image: Digest | undefined): Promise<void> => {
    if (image === undefined || image === one.image || image === one.failed) {
      one.phase = undefined;
    } else if (fate(one.id, image) === 'refuses') {
      one.refused = true;
    } else if (one.phase === undefined) {
      one.phase = 'downloading';
    } else if (one.phase === 'downloading') {
      one.phase = 'rebooting';
      one.isSilent = fate(one.id, image) === 'goes-silent';
    } else {
      one.phase = undefined;
      one.boots += 1;
      if (fate(one.id, image) === 'falls-back') one.failed = image;
      else one.image = image;
    }
    return Promise.resolve();
  };

  return {
    ...{ stores, fleet, failures, clock },
    get service() {
      return service;
    },
    /** As after a kill: whatever was in memory alone is gone. */
    restart: () => {
      service = open();
    },
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    /** All machines beat, then the service looks once. */
    beat: async (times = 1) => {
      for (let time = 0; time < times; time += 1) {
        now += BEAT_MS;
        for (const one of fleet) await beat(one);
        await service.loop.tick();
        await service.loop.changed();
      }
    },
    recorded: async () => {
      await events.flush();
      return stores.events.query({ limit: 100_000 });
    },
  };
}
