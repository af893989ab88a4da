// The stores that belong together: an enrollment saves its machine, so all of them have the same ground to stand on.
import type { BootSessionStore } from '../boot-sessions/boot-session-store.ts';
import type { EnrollmentStore } from '../enrollment/enrollment-store.ts';
import type { EventLog } from '../events/event-log.ts';
import type { ChannelStore } from '../images/channels/channel-store.ts';
import type { ConversionStore } from '../images/conversion/conversion-store.ts';
import type { RegistryStore } from '../images/registry/registry-store.ts';
import type { MachineStore } from '../machines/machine-store.ts';
import type { RolloutStore } from '../rollouts/rollout-store.ts';

export interface Stores {
  readonly machines: MachineStore;
  readonly events: EventLog;
  readonly sessions: BootSessionStore;
  readonly enrollment: EnrollmentStore;
  readonly conversions: ConversionStore;
  readonly registry: RegistryStore;
  readonly channels: ChannelStore;
  readonly rollouts: RolloutStore;
}
