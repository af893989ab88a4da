// Shows a fleet while it boots: a table that is drawn over on a terminal, one line for each change elsewhere.
// The texts are pure functions of the progress and the time.
import { createLogUpdate } from 'log-update';
import { STAGES, type MachineProgress } from './boot-progress.ts';

export interface ProgressView {
  /** A line of its own, above the table. */
  note(text: string): void;
  update(fleet: readonly MachineProgress[], now: number): void;
  /** Leaves what was shown last on the screen. */
  end(): void;
}

export function createProgressView(stream: NodeJS.WriteStream): ProgressView {
  return stream.isTTY ? new TerminalView(stream) : new LineView((line) => stream.write(`${line}\n`));
}

class TerminalView implements ProgressView {
  private readonly draw: ReturnType<typeof createLogUpdate>;
  private readonly stream: NodeJS.WriteStream;
  private table = '';

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
    this.draw = createLogUpdate(stream);
  }

  note(text: string): void {
    this.draw.clear();
    this.stream.write(`${text}\n`);
    if (this.table !== '') this.draw(this.table);
  }

  update(fleet: readonly MachineProgress[], now: number): void {
    this.table = renderTable(fleet, now);
    this.draw(this.table);
  }

  end(): void {
    this.table = '';
    this.draw.done();
  }
}

/** For logs and CI: says what changed, once. */
export class LineView implements ProgressView {
  private readonly write: (line: string) => void;
  private readonly shown = new Map<string, string>();

  constructor(write: (line: string) => void) {
    this.write = write;
  }

  note(text: string): void {
    this.write(text);
  }

  update(fleet: readonly MachineProgress[]): void {
    for (const machine of fleet) {
      const news = renderChange(machine);
      if (this.shown.get(machine.name) === news) continue;
      this.shown.set(machine.name, news);
      this.write(news);
    }
  }

  end(): void {
    this.shown.clear();
  }
}

/** One line for each machine: how far it is, how long in this stage, how long in all. */
export function renderTable(fleet: readonly MachineProgress[], now: number): string {
  const rows = fleet.map((machine) => {
    const end = isSettled(machine) ? lastChange(machine) : now;
    return [
      machine.name,
      machine.firmware,
      bar(machine),
      machine.failure === undefined ? machine.stage : `${machine.stage} ✗`,
      isSettled(machine) ? '' : seconds(now - lastChange(machine), 0),
      seconds(end - firstChange(machine), 0),
    ];
  });
  const failures = fleet.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`]));
  return [...columns([['MACHINE', 'FIRMWARE', '', 'STAGE', 'IN STAGE', 'TOTAL'], ...rows]), ...failures].join('\n');
}

/** What happened to a machine when, with the seconds from one stage to the next. */
export function renderTimeline(machine: MachineProgress): string {
  const start = firstChange(machine);
  const rows = machine.reached.map(({ stage, at }, index) => [
    '',
    seconds(at - start, 1),
    stage,
    index === 0 ? '' : `+${seconds(at - (machine.reached[index - 1]?.at ?? start), 1)}`,
  ]);
  const end =
    machine.failure ??
    (machine.stage === 'active' ? `active after ${seconds(lastChange(machine) - start, 1)}` : 'not active');
  const identity = [machine.mac, machine.machineId].filter((part) => part !== undefined).join(', ');
  return [`${machine.name}: ${machine.firmware}, ${identity}: ${end}`, ...columns(rows)].join('\n');
}

function renderChange(machine: MachineProgress): string {
  const elapsed = seconds(lastChange(machine) - firstChange(machine), 1).padStart(8);
  const news = machine.failure === undefined ? machine.stage : `FAILED at ${machine.stage}: ${machine.failure}`;
  return `${elapsed}  ${machine.name} (${machine.firmware}): ${news}`;
}

function isSettled(machine: MachineProgress): boolean {
  return machine.stage === 'active' || machine.failure !== undefined;
}

function bar(machine: MachineProgress): string {
  const done = STAGES.indexOf(machine.stage);
  return '■'.repeat(done) + '·'.repeat(STAGES.length - 1 - done);
}

function firstChange(machine: MachineProgress): number {
  return machine.reached[0]?.at ?? 0;
}

function lastChange(machine: MachineProgress): number {
  return machine.reached.at(-1)?.at ?? 0;
}

function seconds(milliseconds: number, digits: number): string {
  return `${(Math.max(0, milliseconds) / 1_000).toFixed(digits)} s`;
}

/** Pads each column to its widest cell; times stand on the right of theirs. */
function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const isTime = (cell: string): boolean => /^\+?[\d.]+ s$/.test(cell);
  return rows.map((row) =>
    row
      .map((cell, column) => (isTime(cell) ? cell.padStart(width(column)) : cell.padEnd(width(column))))
      .join('  ')
      .trimEnd(),
  );
}
