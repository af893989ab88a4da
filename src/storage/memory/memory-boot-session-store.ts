// Boot sessions in memory: for tests and for trying things out.
import {
  BOOT_CAPABILITIES,
  type BootCapability,
  type BootSession,
  type BootSessionId,
} from '../../boot-sessions/boot-session.ts';
import type { BootSessionStore } from '../../boot-sessions/boot-session-store.ts';
import { AppError } from '../../errors.ts';
import type { MachineId } from '../../machines/machine.ts';

interface Entry {
  session: BootSession;
  readonly tokenHashes: Readonly<Record<BootCapability, string>>;
  readonly fetches: Map<string, number>;
}

export class MemoryBootSessionStore implements BootSessionStore {
  /** In the order of insertion. */
  readonly #entries = new Map<BootSessionId, Entry>();

  async insert(session: BootSession, tokenHashes: Readonly<Record<BootCapability, string>>): Promise<void> {
    await Promise.resolve();
    if (this.#entries.has(session.id)) throw new AppError('storage-failure', `Session ${session.id} is on record.`);
    this.#entries.set(session.id, { session, tokenHashes, fetches: new Map() });
  }

  find(id: BootSessionId): Promise<BootSession | undefined> {
    return Promise.resolve(this.#entries.get(id)?.session);
  }

  findByTokenHash(
    hash: string,
  ): Promise<{ readonly session: BootSession; readonly capability: BootCapability } | undefined> {
    for (const { session, tokenHashes } of this.#entries.values()) {
      const capability = BOOT_CAPABILITIES.find((name) => tokenHashes[name] === hash);
      if (capability !== undefined) return Promise.resolve({ session, capability });
    }
    return Promise.resolve(undefined);
  }

  latestOfMachine(machineId: MachineId): Promise<BootSession | undefined> {
    const sessions = [...this.#entries.values()].map(({ session }) => session);
    return Promise.resolve(sessions.findLast((session) => session.machineId === machineId));
  }

  update(
    id: BootSessionId,
    changes: Partial<Pick<BootSession, 'scriptServedAt' | 'image' | 'profile' | 'expiresAt'>>,
  ): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.session = { ...entry.session, ...changes };
    return Promise.resolve();
  }

  imagesInUse(now: number): Promise<ReadonlySet<string>> {
    const open = [...this.#entries.values()].filter(({ session }) => session.expiresAt > now);
    return Promise.resolve(new Set(open.flatMap(({ session }) => session.image ?? [])));
  }

  countFetch(id: BootSessionId, resource: string, limit: number): Promise<boolean> {
    const fetches = this.#entries.get(id)?.fetches;
    const before = fetches?.get(resource) ?? 0;
    if (fetches === undefined || before >= limit) return Promise.resolve(false);
    fetches.set(resource, before + 1);
    return Promise.resolve(true);
  }

  removeExpired(before: number): Promise<number> {
    const expired = [...this.#entries.values()].filter(({ session }) => session.expiresAt < before);
    for (const { session } of expired) this.#entries.delete(session.id);
    return Promise.resolve(expired.length);
  }
}
