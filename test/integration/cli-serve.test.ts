import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { finished, startCli } from '../support/cli-world.ts';
import { Scratch } from '../support/openssl.ts';

let scratch: Scratch;

beforeEach(async () => {
  scratch = await Scratch.open();
});

afterEach(() => scratch[Symbol.asyncDispose]());

describe('muster serve', () => {
  it('keeps the log as JSON lines and the banner beside it, and ends well at SIGTERM', async () => {
    const child = startCli(['serve'], settings());
    const result = finished(child);
    child.stderr?.on('data', (text: string) => {
      if (text.includes('is ready')) child.kill('SIGTERM');
    });
    const { status, stdout, stderr } = await result;
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('Admin token') });
    for (const line of stdout.trimEnd().split('\n')) expect(line === '' ? {} : JSON.parse(line)).toBeTypeOf('object');
    expect((await scratch.read('data/admin-token')).trim()).not.toBe('');
    expect(stdout + stderr).not.toContain((await scratch.read('data/admin-token')).trim());
  });

  it('refuses wrong settings with exit code 2 before anything is made', async () => {
    const { status, stderr } = await finished(startCli(['serve'], { ...settings(), MUSTER_API_PORT: 'x' }));
    expect(status).toBe(2);
    expect(stderr).toContain('MUSTER_API_PORT is "x"');
    await expect(scratch.read('data/admin-token')).rejects.toThrow();
  });

  it('names an interface that is missing, and those that are there', async () => {
    const { status, stderr } = await finished(startCli(['serve'], { ...settings(), MUSTER_INTERFACES: 'eth99' }));
    expect(status).toBe(2);
    expect(stderr).toMatch(/"eth99".*\n.*lo \(127\.0\.0\.1\)/);
  });

  it('says that a port is taken, with exit code 2', async () => {
    const holder = createServer().listen(0, '0.0.0.0');
    await new Promise((resolve) => holder.once('listening', resolve));
    const address = holder.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { status, stderr } = await finished(startCli(['serve'], { ...settings(), MUSTER_HTTP_PORT: String(port) }));
    holder.close();
    expect(status).toBe(2);
    expect(stderr).toContain(String(port));
    expect(stderr).toContain('[port-taken]');
  });
});

function settings(): Record<string, string> {
  return {
    MUSTER_DATA_DIRECTORY: scratch.file('data'),
    MUSTER_INTERFACES: 'lo',
    MUSTER_DHCP_MODE: 'off',
    MUSTER_TFTP_ENABLED: 'false',
    MUSTER_HTTP_PORT: '0',
    MUSTER_API_PORT: '0',
  };
}
