// One machine through `npm run lab -- upgrade`: installed, led to another release, and back by itself from one that panics. Some
// ten minutes, hence not among the tests of every change: npm run test:lab.
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingForContainerImage, missingForMachines } from '../../vm-lab/prerequisites.ts';
import type { FirmwareKind } from '../../vm-lab/qemu-arguments.ts';

const LIMIT_MILLISECONDS = 45 * 60_000;
const PROJECT = resolve(import.meta.dirname, '../..');
const missing = [...missingForMachines(['ovmf-pxe', 'bios-ipxe']), ...missingForContainerImage()];
const title = missing.length === 0 ? 'an upgrade' : `an upgrade [skipped: ${missing.join('; ')}]`;

describe.skipIf(missing.length > 0)(title, () => {
  it.each<FirmwareKind>(['ovmf-pxe', 'bios-ipxe'])(
    'of a machine with %s ends on the last release that was good',
    { timeout: LIMIT_MILLISECONDS },
    async (firmware) => {
      const { code, output } = await runLab(['upgrade', '--firmware', firmware]);
      expect(output).toMatch(/PASSED: .* all \d+ checks hold/);
      expect(code).toBe(0);
    },
  );
});

async function runLab(words: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, [join(PROJECT, 'vm-lab/main.ts'), ...words], {
    cwd: PROJECT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  const code = await new Promise<number | null>((done) => child.once('close', done));
  return { code, output };
}
