// What a machine that asked for its boot script shall do now. Pure policy; render-ipxe puts the answer into words.
import type { BootImage } from '../images/boot-image.ts';
import type { ImageResolution } from '../images/image-catalogue.ts';
import type { Machine } from '../machines/machine.ts';
import type { Profile } from '../machines/profile.ts';

export type BootPlan =
  | {
      readonly kind: 'netboot';
      readonly reason: string;
      readonly image: BootImage;
      /** NAME@DIGEST: what a session goes on with when the tag moves meanwhile. */
      readonly reference: string;
      readonly profile: Profile;
    }
  /** Nothing to boot yet: the machine keeps asking. `hint` tells the person at the console what to do. */
  | { readonly kind: 'wait'; readonly reason: string; readonly hint: string }
  | { readonly kind: 'local-disk'; readonly reason: string };

/** What a rollout, or a broken disk, changes in a plan. */
export interface BootOverride {
  /** NAME@DIGEST that a rollout gave this machine, in the place of the profile's image. */
  readonly assigned?: string | undefined;
  /** How often in a row it was sent to its disk and came back unheard. */
  readonly diskFailures?: number | undefined;
}

/** So often a machine is sent to its disk again: the boot counter of its loader needs three, and then falls back. */
const MAX_DISK_FAILURES = 6;

export function planBoot(
  machine: Pick<Machine, 'state' | 'macs' | 'installedAt'>,
  profile: Profile | undefined,
  /** What the assigned image, or else the profile's image, is now; undefined where there is no profile. */
  resolution: ImageResolution | undefined,
  { assigned, diskFailures = 0 }: BootOverride = {},
): BootPlan {
  const mac = machine.macs[0] ?? '<mac>';
  if (machine.state === 'retired') return { kind: 'local-disk', reason: 'the machine was retired' };
  if (machine.state === 'discovered')
    return { kind: 'wait', reason: 'waits for approval', hint: `muster machines approve ${mac}` };
  if (profile === undefined || resolution === undefined)
    return { kind: 'wait', reason: 'no profile fits this machine', hint: `muster machines explain ${mac}` };
  // Boot once: with the network first in the boot order an installed machine would otherwise never see its disk.
  if (machine.state === 'active' && profile.boot.whenActive === 'local-disk')
    return { kind: 'local-disk', reason: `active, and profile ${profile.name} says local-disk` };
  const isInstalled = profile.install !== undefined && machine.installedAt !== undefined;
  if (isInstalled && diskFailures < MAX_DISK_FAILURES)
    return { kind: 'local-disk', reason: diskFailures === 0 ? 'installed' : 'installed: its boot loader falls back' };
  if (resolution.kind === 'none') return { kind: 'wait', reason: resolution.reason, hint: resolution.hint };
  const { image, reference } = resolution;
  const choice =
    assigned === undefined ? `profile ${profile.name} boots ${profile.boot.image}` : 'a rollout gave it this image';
  const reason = isInstalled ? `its disk did not boot ${diskFailures} times: started from RAM to be looked at` : choice;
  return { kind: 'netboot', reason, image, reference, profile };
}
