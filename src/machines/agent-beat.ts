// What an agent says with a heartbeat: what its machine runs, and how far the order is that it works on. Pure types; nothing in
// here authorises, and what it says of images is believed only as far as a machine may speak of itself.
import type { Digest } from '../images/digest.ts';
import type { RunningImage } from './machine.ts';

/**
 * checking     the order's signatures, digests and versions
 * downloading, writing, verifying   the parts of the image
 * rebooting    on its way into the image, or into the system that was installed
 * trial        it runs the image and has yet to prove healthy
 * installed    the disk is whole; the machine boots from it next
 * refused      it will not take the order; the reason says why
 * failed       it tried, and could not
 */
export const ORDER_PHASES = [
  'checking',
  'downloading',
  'writing',
  'verifying',
  'rebooting',
  'trial',
  'installed',
  'refused',
  'failed',
] as const;
export type OrderPhase = (typeof ORDER_PHASES)[number];

export interface OrderReport {
  readonly id: string;
  readonly phase: OrderPhase;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  readonly reason?: string;
}

export interface AgentBeat {
  readonly running?: Omit<RunningImage, 'since'>;
  /** An image that was tried and did not come up; the machine runs the one before. */
  readonly failedImage?: { readonly digest: Digest; readonly reason: string };
  readonly order?: OrderReport;
}
