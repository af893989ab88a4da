// What a machine that asked for its boot script shall do now. Pure policy; render-ipxe puts the answer into words.
import type { Image } from '../images/image.ts';
import type { Machine } from '../machines/machine.ts';
import type { Profile } from '../machines/profile.ts';

export type BootPlan =
  | { readonly kind: 'netboot'; readonly reason: string; readonly image: Image; readonly profile: Profile }
  /** Nothing to boot yet: the machine keeps asking. `hint` tells the person at the console what to do. */
  | { readonly kind: 'wait'; readonly reason: string; readonly hint: string }
  | { readonly kind: 'local-disk'; readonly reason: string };

export function planBoot(
  machine: Pick<Machine, 'state' | 'macs'>,
  profile: Profile | undefined,
  image: Image | undefined,
): BootPlan {
  const mac = machine.macs[0] ?? '<mac>';
  if (machine.state === 'retired') return { kind: 'local-disk', reason: 'the machine was retired' };
  if (machine.state === 'discovered')
    return { kind: 'wait', reason: 'waits for approval', hint: `muster machines approve ${mac}` };
  if (profile === undefined)
    return { kind: 'wait', reason: 'no profile fits this machine', hint: `muster machines explain ${mac}` };
  // Boot once: with the network first in the boot order an installed machine would otherwise never see its disk.
  if (machine.state === 'active' && profile.boot.whenActive === 'local-disk')
    return { kind: 'local-disk', reason: `active, and profile ${profile.name} says local-disk` };
  if (image === undefined)
    return {
      kind: 'wait',
      reason: `image ${profile.boot.image} is not in the store`,
      hint: `muster images import ${profile.boot.image} kernel=FILE initrd=FILE squashfs=FILE`,
    };
  return { kind: 'netboot', reason: `profile ${profile.name} boots ${image.name}`, image, profile };
}
