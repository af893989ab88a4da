// What every scenario is given, and what it answers.
import type { MachineProgress } from '../boot-progress.ts';
import type { Check } from '../judge-machine.ts';
import type { LabNetwork } from '../lab-network.ts';
import type { ImageFiles } from '../muster-client.ts';
import type { MusterProcess } from '../muster-process.ts';
import type { ProgressView } from '../progress-view.ts';
import type { VirtualMachine } from '../virtual-machine.ts';

export interface Lab {
  readonly network: LabNetwork;
  readonly image: ImageFiles;
  readonly view: ProgressView;
  readonly signal: AbortSignal;
}

export interface MachineOutcome {
  readonly machine: VirtualMachine;
  readonly progress: MachineProgress;
  readonly checks: readonly Check[];
}

export interface ScenarioOutcome {
  readonly machines: readonly MachineOutcome[];
  /** Claims about the whole. */
  readonly checks: readonly Check[];
  readonly muster: MusterProcess;
  readonly privateKeyFile: string;
}

export function holds(outcome: ScenarioOutcome): boolean {
  return [...outcome.machines.flatMap(({ checks }) => checks), ...outcome.checks].every((check) => check.holds);
}
