// How pages speak of a machine: its name, its badge, what may be done with it. Pure.
import type { Machine, MachineState } from '../machines/machine.ts';
import { nextState } from '../machines/machine.ts';
import { html, type Html } from './html.ts';

/** The host name, or the address it was first seen with. */
export function machineName(machine: Pick<Machine, 'id' | 'hostname' | 'macs'>): string {
  return machine.hostname ?? machine.macs[0] ?? machine.id;
}

export function stateBadge(state: MachineState): Html {
  return html`<span class="badge" data-state="${state}">${state}</span>`;
}

export function machinePath(machine: Pick<Machine, 'id'>): string {
  return `/machines/${encodeURIComponent(machine.id)}`;
}

/** The form that approves, where the machine's state allows it. `back` is the page to come back to. */
export function approveForm(machine: Machine, back: 'fleet' | 'machine'): Html | undefined {
  if (nextState(machine.state, 'approve') === undefined) return undefined;
  // A retired machine comes back on its own page alone: in the fleet's table the button would stand there for ever.
  if (machine.state === 'retired' && back === 'fleet') return undefined;
  const label = machine.state === 'retired' ? 'Bring back' : 'Approve';
  return html`<form method="post" action="${machinePath(machine)}/approve">
    <input type="hidden" name="back" value="${back}" />
    <button type="submit" id="approve-${machine.id}" aria-label="${label} ${machineName(machine)}">${label}</button>
  </form>`;
}
