// Opens a boot session when a machine asks the network for a boot file, and finds it again by its path tokens.
import type { Clock, RandomSource, Sha256 } from '../clock.ts';
import type { Machine } from '../machines/machine.ts';
import type { MacAddress } from '../protocol/mac-address.ts';
import {
  FETCH_LIMITS,
  type BootCapability,
  type BootSession,
  type BootSessionId,
  type FetchKind,
} from './boot-session.ts';
import type { BootSessionStore } from './boot-session-store.ts';

/** Tokens of sessions that are still waiting for their script, by MAC: so many at most, oldest out first. */
const OPEN_SESSIONS_LIMIT = 10_000;
const TOKEN_BYTES = 16;

export type BootTokens = Readonly<Record<BootCapability, string>>;

export interface OpenedSession {
  readonly session: BootSession;
  readonly tokens: BootTokens;
  /** False when this answer belongs to a session that an earlier packet opened. */
  readonly isNew: boolean;
}

export type Access =
  | { readonly kind: 'open'; readonly session: BootSession; readonly capability: BootCapability }
  | { readonly kind: 'refused'; readonly status: 404 | 410; readonly reason: string };

export class BootSessionService {
  readonly #store: BootSessionStore;
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #sha256: Sha256;
  readonly #sessionMs: number;
  readonly #open = new Map<string, OpenedSession>();

  constructor(parts: {
    store: BootSessionStore;
    clock: Clock;
    random: RandomSource;
    sha256: Sha256;
    settings: { readonly sessionMinutes: number };
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#sha256 = parts.sha256;
    this.#sessionMs = parts.settings.sessionMinutes * 60_000;
  }

  /**
   * The session of a machine that asks for its boot file. The packets of one boot share a session, from the firmware's first
   * DISCOVER to iPXE's last; after the script was handed out, the next DISCOVER is a new boot.
   */
  async open(
    machine: Machine,
    asked: { mac: MacAddress; architecture: string; serverAddress: string },
  ): Promise<OpenedSession> {
    const now = this.#clock.now();
    const key = `${asked.mac} ${asked.serverAddress}`;
    const known = this.#open.get(key);
    const isYoung = known !== undefined && known.session.expiresAt > now + this.#sessionMs / 2;
    if (isYoung && known.session.machineId === machine.id) return { ...known, isNew: false };
    const session: BootSession = {
      id: `b-${Buffer.from(this.#random.bytes(8)).toString('hex')}` as BootSessionId,
      machineId: machine.id,
      ...asked,
      createdAt: now,
      expiresAt: now + this.#sessionMs,
    };
    const tokens = this.tokensOf(Buffer.from(this.#random.bytes(TOKEN_BYTES)).toString('base64url'));
    await this.#store.insert(session, this.#hashesOf(tokens));
    const opened = { session, tokens, isNew: true };
    this.#open.delete(key);
    if (this.#open.size >= OPEN_SESSIONS_LIMIT) this.#open.delete(this.#open.keys().next().value ?? '');
    this.#open.set(key, opened);
    return opened;
  }

  /**
   * All three tokens from the script token. The other two follow from it by a one-way hash, so that whoever reads them on a
   * kernel command line cannot get back to the script and its enrollment token.
   */
  tokensOf(script: string): BootTokens {
    const derive = (purpose: string): string =>
      Buffer.from(this.#sha256(`muster ${purpose} ${script}`), 'hex')
        .subarray(0, TOKEN_BYTES)
        .toString('base64url');
    return { script, artifacts: derive('artifacts'), seed: derive('seed') };
  }

  /** What a path token opens, if anything. Only the token's hash is ever compared, by the store's index. */
  async access(token: string): Promise<Access> {
    const found = /^[A-Za-z0-9_-]{16,64}$/.test(token)
      ? await this.#store.findByTokenHash(this.#sha256(token))
      : undefined;
    if (found === undefined) return { kind: 'refused', status: 404, reason: 'no such boot session' };
    if (found.session.expiresAt <= this.#clock.now())
      return { kind: 'refused', status: 410, reason: 'this boot session has ended; start the machine again' };
    return { kind: 'open', ...found };
  }

  find(id: BootSessionId): Promise<BootSession | undefined> {
    return this.#store.find(id);
  }

  /** Counts a fetch; false when the session has used up its fetches of that resource. */
  countFetch(session: BootSession, kind: FetchKind, resource: string): Promise<boolean> {
    return this.#store.countFetch(session.id, resource, FETCH_LIMITS[kind]);
  }

  /** The script was handed out: what was planned is fixed now, and the other two tokens get the whole session time anew. */
  async scriptServed(session: BootSession, planned: { image: string; profile: string }): Promise<void> {
    const now = this.#clock.now();
    this.#forget(session);
    await this.#store.update(session.id, { ...planned, scriptServedAt: now, expiresAt: now + this.#sessionMs });
  }

  /** A machine that has to wait keeps its session for as long as it goes on asking. */
  async keepWaiting(session: BootSession): Promise<void> {
    this.#forget(session);
    await this.#store.update(session.id, { expiresAt: this.#clock.now() + this.#sessionMs });
  }

  /** Removes what ended a day ago and more. */
  removeEnded(): Promise<number> {
    return this.#store.removeExpired(this.#clock.now() - 24 * 3_600_000);
  }

  #forget(session: BootSession): void {
    this.#open.delete(`${session.mac} ${session.serverAddress}`);
  }

  #hashesOf(tokens: BootTokens): Readonly<Record<BootCapability, string>> {
    return {
      script: this.#sha256(tokens.script),
      artifacts: this.#sha256(tokens.artifacts),
      seed: this.#sha256(tokens.seed),
    };
  }
}
