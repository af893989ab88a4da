// How many transfers run at once, in all and for one client address. What is over the limit waits its turn: a rack that boots
// after a power cut has more machines than slots, and a refused machine would need a person.

export interface AdmissionLimits {
  readonly sessions: number;
  readonly sessionsPerAddress: number;
  readonly queueLength: number;
}

export interface Applicant {
  readonly address: string;
  /** Called once, when there is a slot. */
  admit(): void;
}

export class TftpAdmission {
  private readonly limits: AdmissionLimits;
  private readonly runningByAddress = new Map<string, number>();
  private readonly queue = new Set<Applicant>();
  private running = 0;

  constructor(limits: AdmissionLimits) {
    this.limits = limits;
  }

  /** Admits at once where there is a slot, else queues; false where the queue is full too. */
  apply(applicant: Applicant): boolean {
    if (this.hasSlot(applicant.address)) {
      this.admit(applicant);
      return true;
    }
    if (this.queue.size >= this.limits.queueLength) return false;
    this.queue.add(applicant);
    return true;
  }

  /** The applicant is done, or does not want to wait any longer. */
  leave(applicant: Applicant): void {
    if (this.queue.delete(applicant)) return;
    this.running -= 1;
    const others = this.countOf(applicant.address) - 1;
    if (others === 0) this.runningByAddress.delete(applicant.address);
    else this.runningByAddress.set(applicant.address, others);
    for (const next of this.queue) {
      if (this.running >= this.limits.sessions) break;
      if (!this.hasSlot(next.address)) continue;
      this.queue.delete(next);
      this.admit(next);
    }
  }

  private admit(applicant: Applicant): void {
    this.running += 1;
    this.runningByAddress.set(applicant.address, this.countOf(applicant.address) + 1);
    applicant.admit();
  }

  private hasSlot(address: string): boolean {
    return this.running < this.limits.sessions && this.countOf(address) < this.limits.sessionsPerAddress;
  }

  private countOf(address: string): number {
    return this.runningByAddress.get(address) ?? 0;
  }
}
