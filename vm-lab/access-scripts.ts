// For runs that stay (`--keep`): two small commands in the run's folder, so that nobody has to type namespaces and variables.
import { writeFileSync } from 'node:fs';
import { LAB_USER } from './fleet-files.ts';
import type { LabNetwork } from './lab-network.ts';
import type { ScenarioOutcome } from './scenarios/scenario.ts';

export interface AccessScripts {
  /** Muster's command line against the server of this run. */
  readonly muster: string;
  /** Logs in to a machine by its name. */
  readonly login: string;
}

export function writeAccessScripts(
  network: LabNetwork,
  outcome: ScenarioOutcome,
  addresses: ReadonlyMap<string, string>,
): AccessScripts {
  const enter = network.enter('srv').join(' ');
  const { command, environment } = outcome.muster.commandLine;
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${quote(value)}`);
  const cases = [...addresses].map(([name, address]) => `  ${name}) address=${address} ;;`);
  const scripts = { muster: network.run.file('muster'), login: network.run.file('login') };
  write(scripts.muster, [`exec ${enter} env ${variables.join(' ')} ${command.map(quote).join(' ')} "$@"`]);
  write(scripts.login, [
    'case "${1:-}" in',
    ...cases,
    `  *) echo "usage: $0 ${[...addresses.keys()].join(' | ')}" >&2; exit 2 ;;`,
    'esac',
    'shift',
    `exec ${enter} ssh -q -i ${quote(outcome.privateKeyFile)} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ${LAB_USER}@"$address" "$@"`,
  ]);
  return scripts;
}

function write(file: string, lines: readonly string[]): void {
  writeFileSync(file, `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
