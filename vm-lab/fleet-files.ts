// What the lab wants each machine to become, written as a site would write it: one profile and one layer of cloud-config
// for each machine, and a layer that all share. Also says what a machine must show in the end.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import type { RunFolder } from './run-folder.ts';
import { createSshKey } from './ssh-key.ts';
import type { VirtualMachine } from './virtual-machine.ts';

export const LAB_IMAGE = 'lab/debian-12';
export const LAB_USER = 'pilot';
const FILE_PATH = '/etc/lab-machine.conf';
const PROOF_MARK = 'lab-proof';

export interface FleetFiles {
  readonly profilesDirectory: string;
  readonly cloudConfigDirectory: string;
  readonly privateKeyFile: string;
  /** The line that a machine prints on its console once cloud-init has done all it was told. */
  proofOf(machine: VirtualMachine): string;
}

export interface FleetOptions {
  /** Of the profiles: machines are installed to their disk. */
  readonly install?: object;
  /** More commands for each boot, after which the proof is given. */
  readonly commands?: readonly string[];
}

export function writeFleetFiles(
  run: RunFolder,
  machines: readonly VirtualMachine[],
  image: string,
  { install, commands = [] }: FleetOptions = {},
): FleetFiles {
  const profilesDirectory = run.file('profiles');
  const cloudConfigDirectory = run.file('cloud-config');
  const privateKeyFile = run.file('ssh-key');
  for (const folder of [profilesDirectory, cloudConfigDirectory]) mkdirSync(folder, { recursive: true });
  const key = createSshKey(`lab-${run.runId}`);
  writeFileSync(privateKeyFile, key.privateKey, { mode: 0o600 });
  writeYaml(join(cloudConfigDirectory, 'lab-all.yaml'), sharedConfig(key.publicKey, commands));
  for (const machine of machines) {
    writeYaml(join(profilesDirectory, `${machine.name}.yaml`), profileOf(machine, image, install));
    writeYaml(join(cloudConfigDirectory, `${machine.name}.yaml`), configOf(machine));
  }
  return {
    profilesDirectory,
    cloudConfigDirectory,
    privateKeyFile,
    proofOf: (machine) =>
      proofLine({ host: machine.name, user: LAB_USER, key: key.fingerprint, file: sha256(fileContent(machine)) }),
  };
}

function profileOf(machine: VirtualMachine, image: string, install: object | undefined): object {
  return {
    name: machine.name,
    match: { mac: machine.mac },
    hostname: machine.name,
    boot: { image, commandLine: ['console=ttyS0', 'mitigations=off'] },
    cloudConfig: ['lab-all', machine.name],
    ...(install !== undefined && { install }),
  };
}

/** The command is the proof as well: the machine reads back what the other modules did, and says so on its console. */
function sharedConfig(publicKey: string, commands: readonly string[]): object {
  const values = {
    host: '$(hostname)',
    user: `$(id -un ${LAB_USER})`,
    key: `$(ssh-keygen -lf /home/${LAB_USER}/.ssh/authorized_keys | cut -d' ' -f2)`,
    file: `$(sha256sum <${FILE_PATH} | cut -d' ' -f1)`,
  };
  return {
    // Else sudo cannot look up the machine's own name.
    manage_etc_hosts: 'localhost',
    users: [
      {
        name: LAB_USER,
        shell: '/bin/bash',
        sudo: 'ALL=(ALL) NOPASSWD:ALL',
        lock_passwd: true,
        ssh_authorized_keys: [publicKey],
      },
    ],
    runcmd: [...commands, `echo "${proofLine(values)}" >/dev/console`],
  };
}

/** `{{ muster.… }}` is filled in by the server, so the file's hash proves the placeholders too. */
function configOf(machine: VirtualMachine): object {
  const content = fileContent(machine)
    .replace(machine.mac, '{{ muster.mac }}')
    .replace(`name = ${machine.name}`, 'name = {{ muster.hostname }}');
  return { write_files: [{ path: FILE_PATH, permissions: '0644', content }] };
}

function fileContent(machine: VirtualMachine): string {
  return `# Which machine this is: ä, $HOME and 'quotes' arrive as they are.\nname = ${machine.name}\naddress = ${machine.mac}\n`;
}

function proofLine(values: Readonly<Record<'host' | 'user' | 'key' | 'file', string>>): string {
  return `${PROOF_MARK} host=${values.host} user=${values.user} key=${values.key} file=${values.file}`;
}

function writeYaml(file: string, content: object): void {
  writeFileSync(file, dump(content, { lineWidth: -1 }));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
