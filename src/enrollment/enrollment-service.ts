// Turns a token and a certificate signing request into a machine with an identity. Checks in a fixed order, and whatever
// goes wrong, or wherever the process ends, either nothing has changed or everything is on record: the certificate is signed
// first, then one transaction burns the token, keeps the certificate and saves the machine.
import type { Clock, RandomSource } from '../clock.ts';
import { ERROR_CODES, type ErrorCode } from '../errors.ts';
import type { BootSessionId } from '../boot-sessions/boot-session.ts';
import type { EventRecorder } from '../events/event-recorder.ts';
import type { HardwareFacts, Machine, MachineId } from '../machines/machine.ts';
import type { MachineStore } from '../machines/machine-store.ts';
import type { MacAddress } from '../protocol/mac-address.ts';
import type { CertificateAuthority, CheckedCsr } from './certificate-authority.ts';
import { enrolledMachine, type StateStep } from './enrolled-machine.ts';
import type { CertificateRecord, EnrollmentStore } from './enrollment-store.ts';
import { checkClaims, type EnrollmentCandidate, type TokenRecord } from './enrollment-token.ts';
import { KeyedQueue } from '../keyed-queue.ts';
import { matchMachine, type MachineMatch } from './match-machine.ts';
import { claimsOf, createTokenRecord, type TokenLimits, type TokenRequest } from './new-token.ts';
import { bootSessionOf } from './token-maker.ts';
import type { TokenSigner } from './token-signer.ts';

export interface EnrollmentRequest {
  readonly token: string;
  readonly csrPem: string;
  readonly candidate: EnrollmentCandidate;
  readonly facts: HardwareFacts;
  readonly peerAddress: string;
}

export type EnrollmentOutcome =
  | {
      readonly kind: 'enrolled';
      readonly machineId: MachineId;
      readonly certificate: CertificateRecord;
      /** True when this key had this certificate already: the first answer was lost on the way. */
      readonly replayed: boolean;
    }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string };

export interface EnrollmentSettings extends TokenLimits {
  readonly issuer: string;
  readonly audience: string;
  readonly certificateSeconds: number;
}

export interface EnrollmentServiceParts {
  readonly store: EnrollmentStore;
  readonly machines: MachineStore;
  readonly authority: CertificateAuthority;
  readonly signer: TokenSigner;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly newMachineId: () => MachineId;
  readonly settings: EnrollmentSettings;
}

/** A machine that changed under our hands is loaded and tried again so often. */
const TRIES = 5;
const MACS_MAX = 64;
/** Certificates begin a minute ago: clocks of servers differ. */
const BACKDATE_MS = 60_000;
/** A renewal by the same key within this time gets the same certificate: its first answer was lost. */
const RENEWAL_REPLAY_MS = 60_000;

interface Refusal {
  readonly kind: 'refused';
  readonly code: ErrorCode;
  readonly detail?: string;
  readonly machine?: Machine;
}
type Enrolled = Extract<EnrollmentOutcome, { kind: 'enrolled' }>;
type Attempt = Enrolled | Refusal | { readonly kind: 'stale' };

export class EnrollmentService {
  readonly #parts: EnrollmentServiceParts;
  /** By token id: of a thousand machines with one token, one signs at a time and the rest see that it is used. */
  readonly #queue = new KeyedQueue();

  constructor(parts: EnrollmentServiceParts) {
    this.#parts = parts;
  }

  async enroll(request: EnrollmentRequest): Promise<EnrollmentOutcome> {
    const { signer, clock, settings } = this.#parts;
    if (request.candidate.macs.length > MACS_MAX)
      return this.#refuse(
        { kind: 'refused', code: 'invalid-request', detail: `at most ${MACS_MAX} addresses` },
        request,
      );
    const verified = await signer.verify(request.token);
    if (verified.kind === 'refused') return this.#refuse({ kind: 'refused', code: verified.reason }, request);
    const { claims } = verified;
    const allowed = checkClaims(claims, request.candidate, {
      audience: settings.audience,
      nowSeconds: Math.floor(clock.now() / 1000),
    });
    const outcome =
      allowed.kind === 'refused'
        ? ({ kind: 'refused', code: allowed.reason } as const)
        : await this.#queue.run(claims.jti, () => this.#tryOften(() => this.#attempt(claims.jti, request)));
    return outcome.kind === 'enrolled' ? outcome : this.#refuse(outcome, request, claims.jti, claims.mac);
  }

  /** A new certificate for a machine that showed its present one. The present one stays good until its end. */
  async renew(request: {
    readonly machineId: MachineId;
    readonly csrPem: string;
    readonly peerAddress: string;
  }): Promise<EnrollmentOutcome> {
    const first = await this.#parts.machines.find(request.machineId);
    const outcome = await this.#tryOften(() => this.#attemptRenewal(request, first?.certificateSerial));
    if (outcome.kind === 'enrolled') return outcome;
    return this.#refuse({ ...(first === undefined ? {} : { machine: first }), ...outcome }, undefined);
  }

  /** The machine behind a client certificate: known, in its time, not revoked, and of a machine that may still be here. */
  async identify(
    certificateSerial: string,
  ): Promise<
    { readonly kind: 'machine'; readonly machine: Machine } | { readonly kind: 'refused'; readonly code: ErrorCode }
  > {
    const { store, machines, clock } = this.#parts;
    const certificate = await store.findCertificate(certificateSerial.toLowerCase());
    if (certificate === undefined || !isGood(certificate, clock.now()))
      return { kind: 'refused', code: 'unauthorised' };
    const machine = await machines.find(certificate.machineId);
    if (machine?.state === 'retired') return { kind: 'refused', code: 'machine-retired' };
    return hasIdentity(machine) ? { kind: 'machine', machine } : { kind: 'refused', code: 'unauthorised' };
  }

  /** Throws invalid-request where the lifetime or the uses are beyond the limits. The signed text is not kept. */
  async createToken(request: TokenRequest): Promise<{ readonly record: TokenRecord; readonly token: string }> {
    const { store, signer, clock, random, settings } = this.#parts;
    const record = createTokenRecord(request, { now: clock.now(), random, limits: settings });
    const token = await signer.sign(claimsOf(record, settings));
    await store.insertToken(record);
    await this.#parts.events.recordNow({
      kind: 'token-created',
      ...sessionOf(record),
      details: { tokenId: record.id, by: record.createdBy },
    });
    return { record, token };
  }

  /** False when there is no such token. Holds from the next redemption on. */
  async revokeToken(id: string, by: string): Promise<boolean> {
    const { store, clock } = this.#parts;
    const record = await store.findToken(id);
    if (record === undefined) return false;
    if (record.revokedAt !== undefined) return true;
    const revoked = await store.revokeToken(id, clock.now());
    if (revoked)
      await this.#parts.events.recordNow({ kind: 'token-revoked', ...sessionOf(record), details: { tokenId: id, by } });
    return revoked;
  }

  findToken(id: string): Promise<TokenRecord | undefined> {
    return this.#parts.store.findToken(id);
  }

  listTokens(options: { readonly limit: number; readonly includeEnded: boolean }): Promise<readonly TokenRecord[]> {
    return this.#parts.store.listTokens({ ...options, now: this.#parts.clock.now() });
  }

  async #attempt(tokenId: string, request: EnrollmentRequest): Promise<Attempt> {
    const { store, authority } = this.#parts;
    const token = await store.findToken(tokenId);
    if (token === undefined) return { kind: 'refused', code: 'token-unknown' };
    if (token.revokedAt !== undefined) return { kind: 'refused', code: 'token-revoked' };
    const csr = await authority.checkCsr(request.csrPem);
    if (csr.kind === 'refused') return { kind: 'refused', code: 'csr-invalid', detail: csr.reason };
    const earlier = await store.findRedemption(token.id, csr.keyFingerprint);
    if (earlier !== undefined) return this.#replay(earlier);
    if (token.uses >= token.maxUses) return { kind: 'refused', code: 'token-used' };
    const match = await this.#machineOf(token, request);
    if (match.kind === 'refused') return { ...match, code: match.reason };
    if (match.kind === 'known') return this.#redeem(token, csr, match.machine, request);
    if (request.candidate.macs.length === 0)
      return {
        kind: 'refused',
        code: 'invalid-request',
        detail: 'a machine that is not known yet must name a MAC address',
      };
    const machine = await this.#discover(token, request);
    return machine === undefined ? { kind: 'stale' } : this.#redeem(token, csr, machine, request);
  }

  /** The same answer to the same key, as long as it is one that helps. */
  async #replay(certificate: CertificateRecord): Promise<Attempt> {
    const machine = await this.#parts.machines.find(certificate.machineId);
    const known = machine === undefined ? {} : { machine };
    if (machine?.state === 'retired') return { kind: 'refused', code: 'machine-retired', ...known };
    if (!isGood(certificate, this.#parts.clock.now())) return { kind: 'refused', code: 'token-used', ...known };
    return { kind: 'enrolled', machineId: certificate.machineId, certificate, replayed: true };
  }

  /** A bound token names its machine; what else the bearer says of itself then finds nobody. */
  async #machineOf(token: TokenRecord, request: EnrollmentRequest): Promise<MachineMatch> {
    const { machines } = this.#parts;
    const macs = token.mac === undefined ? request.candidate.macs : [token.mac];
    const byMac = await Promise.all(macs.map((mac) => machines.findByMac(mac)));
    const byUuid = token.mac === undefined && token.uuid !== undefined ? await machines.findByUuid(token.uuid) : [];
    // Cheap boards share a UUID: then it says nothing.
    const found = [...byMac.filter((machine) => machine !== undefined), ...(byUuid.length === 1 ? byUuid : [])];
    return matchMachine(found, token);
  }

  /**
   * Puts a machine on record that was never seen on the wire, as no more than discovered: the redemption makes it enrolled.
   * Undefined when somebody was faster.
   */
  async #discover(token: TokenRecord, request: EnrollmentRequest): Promise<Machine | undefined> {
    const { machines, clock, newMachineId } = this.#parts;
    const now = clock.now();
    const { kind, machine } = await machines.insert({
      id: newMachineId(),
      macs: token.mac === undefined ? request.candidate.macs : [token.mac],
      state: 'discovered',
      stateReason: `first seen with token ${token.id}`,
      stateSince: now,
      labels: {},
      facts: {},
      address: request.peerAddress,
      createdAt: now,
      lastSeenAt: now,
      version: 1,
    });
    if (kind === 'exists') return undefined;
    this.#parts.events.record({
      kind: 'machine-discovered',
      machineId: machine.id,
      ...macOf(machine),
      ...sessionOf(token),
      details: { architecture: request.facts.architecture ?? 'unknown', address: request.peerAddress },
    });
    return machine;
  }

  async #redeem(token: TokenRecord, csr: CheckedCsr, before: Machine, request: EnrollmentRequest): Promise<Attempt> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    const certificate = await this.#sign(csr, before.id, now);
    const { machine, steps } = enrolledMachine(before, {
      ...request,
      token,
      certificateSerial: certificate.serial,
      now,
    });
    const outcome = await store.redeem({ tokenId: token.id, certificate, machine, at: now });
    switch (outcome.kind) {
      case 'redeemed':
        await this.#recordEnrolled(token, machine, certificate, steps);
        return { kind: 'enrolled', machineId: machine.id, certificate, replayed: false };
      case 'replayed':
        return this.#replay(outcome.certificate);
      case 'refused':
        return { kind: 'refused', code: outcome.reason, machine: before };
      case 'stale':
        return outcome;
    }
  }

  async #attemptRenewal(
    request: { readonly machineId: MachineId; readonly csrPem: string; readonly peerAddress: string },
    expectedSerial: string | undefined,
  ): Promise<Attempt> {
    const { store, machines, authority, clock, events } = this.#parts;
    const now = clock.now();
    const machine = await machines.find(request.machineId);
    if (machine?.state === 'retired') return { kind: 'refused', code: 'machine-retired', machine };
    if (!hasIdentity(machine)) return { kind: 'refused', code: 'unauthorised' };
    // It enrolled anew meanwhile: the certificate that this renewal came with was revoked by that.
    if (machine.certificateSerial !== expectedSerial) return { kind: 'refused', code: 'conflict', machine };
    const csr = await authority.checkCsr(request.csrPem);
    if (csr.kind === 'refused') return { kind: 'refused', code: 'csr-invalid', detail: csr.reason, machine };
    const current = expectedSerial === undefined ? undefined : await store.findCertificate(expectedSerial);
    if (current?.keyFingerprint === csr.keyFingerprint && now - current.notBefore < BACKDATE_MS + RENEWAL_REPLAY_MS)
      return { kind: 'enrolled', machineId: machine.id, certificate: current, replayed: true };
    const certificate = await this.#sign(csr, machine.id, now);
    // The machine first: should it have enrolled or been retired since, this is stale and no certificate goes on record.
    const renewed = {
      ...machine,
      certificateSerial: certificate.serial,
      address: request.peerAddress,
      lastSeenAt: now,
    };
    if ((await machines.save(renewed)).kind === 'stale') return { kind: 'stale' };
    await store.insertCertificate(certificate);
    await events.recordNow({
      kind: 'certificate-renewed',
      machineId: machine.id,
      ...macOf(machine),
      details: { certificateSerial: certificate.serial, notAfter: certificate.notAfter },
    });
    return { kind: 'enrolled', machineId: machine.id, certificate, replayed: false };
  }

  #sign(csr: CheckedCsr, machineId: MachineId, now: number): Promise<CertificateRecord> {
    const { authority, settings } = this.#parts;
    const validity = { notBefore: now - BACKDATE_MS, notAfter: now + settings.certificateSeconds * 1000 };
    return authority.issue(csr, machineId, validity);
  }

  async #tryOften(attempt: () => Promise<Attempt>): Promise<Enrolled | Refusal> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const outcome = await attempt();
      if (outcome.kind !== 'stale') return outcome;
    }
    return { kind: 'refused', code: 'conflict', detail: 'the machine is being changed by others; try again' };
  }

  async #recordEnrolled(
    token: TokenRecord,
    machine: Machine,
    certificate: CertificateRecord,
    steps: readonly StateStep[],
  ): Promise<void> {
    const subject = { machineId: machine.id, ...macOf(machine) };
    const { serial: certificateSerial, notAfter } = certificate;
    for (const details of steps)
      this.#parts.events.record({ kind: 'machine-state', ...subject, ...sessionOf(token), details });
    const details = { certificateSerial, tokenId: token.id, notAfter };
    await this.#parts.events.recordNow({ kind: 'enrolled', ...subject, ...sessionOf(token), details });
  }

  /** Puts a refusal on record. Its address is what the bearer says unless the token was bound to one. */
  async #refuse(
    refusal: Refusal,
    request: EnrollmentRequest | undefined,
    tokenId?: string,
    boundMac?: MacAddress,
  ): Promise<EnrollmentOutcome> {
    const mac = boundMac ?? refusal.machine?.macs[0] ?? request?.candidate.macs[0];
    // Whoever has no good token is not worth a look into the database.
    const machine =
      refusal.machine ??
      (tokenId === undefined || mac === undefined ? undefined : await this.#parts.machines.findByMac(mac));
    this.#parts.events.record({
      kind: 'enrollment-refused',
      ...(machine === undefined ? {} : { machineId: machine.id }),
      ...(mac === undefined ? {} : { mac }),
      details: { code: refusal.code, ...(tokenId === undefined ? {} : { tokenId }) },
    });
    const detail = refusal.detail === undefined ? '' : ` (${refusal.detail})`;
    return { kind: 'refused', code: refusal.code, message: `${ERROR_CODES[refusal.code]}${detail}` };
  }
}

function isGood(certificate: CertificateRecord, now: number): boolean {
  return certificate.revokedAt === undefined && certificate.notBefore <= now && now < certificate.notAfter;
}

/** Retired and approved again, a machine has to enroll before its old certificates could mean anything. */
function hasIdentity(machine: Machine | undefined): machine is Machine {
  return machine !== undefined && !['discovered', 'approved', 'retired'].includes(machine.state);
}

function macOf(machine: Machine): { readonly mac?: MacAddress } {
  const [mac] = machine.macs;
  return mac === undefined ? {} : { mac };
}

function sessionOf(token: TokenRecord): { readonly sessionId?: BootSessionId } {
  const sessionId = bootSessionOf(token);
  return sessionId === undefined ? {} : { sessionId };
}
