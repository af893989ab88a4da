// Makes a key pair for signing: PEM files, P-256, as openssl and cosign know them. Never writes over a file.
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CliError } from './cli-error.ts';
import type { CommandTools } from './command-tools.ts';

export async function makeKeyPair(name: string, tools: CommandTools): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name))
    throw new CliError('invalid-request', `name ${JSON.stringify(name)}: write letters, digits, ".", "_" and "-".`, 2);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [secret, shared] = [`${name}.key`, `${name}.pub`].map((file) => resolve(tools.workingDirectory, file));
  await write(secret ?? '', privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  await write(shared ?? '', publicKey.export({ type: 'spki', format: 'pem' }), 0o644);
  tools.show({ key: secret, public: shared }, () => {
    const { good, strong, faint } = tools.style;
    return `  ${good('✓')} ${strong(`${name}.key`)} ${faint('keep it where you sign, and nowhere else')}\n  ${good('✓')} ${strong(`${name}.pub`)} ${faint('name it in upgrades.operatorKeys or upgrades.releaseKeys')}\n`;
  });
}

async function write(file: string, content: string | Buffer, mode: number): Promise<void> {
  try {
    await writeFile(file, content, { mode, flag: 'wx' });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    const reason = code === 'EEXIST' ? 'it is there already, and a key is never written over' : code;
    throw new CliError('conflict', `${file} cannot be written: ${reason}.`, 1);
  }
}
