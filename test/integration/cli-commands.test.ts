import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliWorld } from '../support/cli-world.ts';
import { aMac, aMachine, aToken } from '../support/domain-builders.ts';

let world: CliWorld;

beforeEach(async () => {
  world = await CliWorld.open();
});

afterEach(() => world[Symbol.asyncDispose]());

describe('muster machines', () => {
  it('lists machines with token and CA from the data folder, without colours where no terminal is', async () => {
    world.answer('GET /machines', { machines: [aMachine({ hostname: 'node-1' })] });
    const { status, stdout, stderr } = await world.runProcess(['machines', 'list', '--state', 'discovered']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/● discovered +52:54:00:00:00:01 +node-1/);
    expect(stdout).not.toContain('\u001b');
    expect(world.lines()).toEqual(['GET /machines?state=discovered']);
    expect(world.seen[0]?.authorization).toBe('Bearer T0P-SECRET');
  });

  it('prints the whole answer as JSON, wherever --json stands', async () => {
    const answer = { machines: [aMachine()], more: 'of a newer server' };
    world.answer('GET /machines', answer);
    for (const words of [
      ['--json', 'machines', 'list'],
      ['machines', 'list', '--json'],
    ]) {
      expect(JSON.parse((await world.run(words)).stdout)).toEqual(answer);
    }
  });

  it('shows a machine with its latest boot', async () => {
    const details = { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' };
    const events = [{ kind: 'dhcp-discover', details, seq: 1, at: 0 }];
    world.answer('GET /machines/node-1', { machine: aMachine({ hostname: 'node-1' }), events });
    const { status, stdout } = await world.run(['machines', 'show', 'node-1']);
    expect(status).toBe(0);
    expect(stdout).toContain('DISCOVER from uefi-pxe');
  });

  it('approves and retires, with the reference encoded', async () => {
    world.answer('POST /machines/52%3A54%3A00%3A00%3A00%3A01/approve', { machine: aMachine({ state: 'approved' }) });
    world.answer('POST /machines/a%2Fb/retire', { machine: aMachine({ state: 'retired' }) });
    expect((await world.run(['machines', 'approve', aMac()])).stdout).toContain('● approved');
    expect((await world.run(['machines', 'retire', 'a/b'])).stdout).toContain('● retired');
  });

  it('explains', async () => {
    const candidates = [{ profile: 'default', matches: true, reasons: ['fits every machine'] }];
    const plan = { kind: 'boot-image', reason: 'profile default' };
    world.answer(`GET /machines/${encodeURIComponent(aMac())}/explain`, { winner: 'default', candidates, plan });
    expect((await world.run(['machines', 'explain', aMac()])).stdout).toContain('✓ default');
  });
});

describe('muster tokens', () => {
  it('prints the token alone to standard output, and what it is good for to standard error', async () => {
    world.answer('POST /tokens', { token: 'ey.J.x', record: aToken() }, 201);
    const words = ['tokens', 'create', '--ttl', '2h', '--uses', '3', '--mac', '52-54-00-0A-0B-0C', '--label', 'rack=7'];
    const { stdout, stderr } = await world.runProcess([...words, '--label', 'role=worker', '--note', 'for Ann']);
    expect(stdout).toBe('ey.J.x\n');
    expect(stderr).toContain('token-1');
    expect(JSON.parse(String(world.seen[0]?.body))).toEqual({
      ttlSeconds: 7200,
      uses: 3,
      mac: '52:54:00:0a:0b:0c',
      labels: { rack: '7', role: 'worker' },
      note: 'for Ann',
    });
  });

  it('lists open tokens, or all, and revokes one', async () => {
    world.answer('GET /tokens', { tokens: [aToken()] });
    world.answer('POST /tokens/token-1/revoke', { record: aToken({ revokedAt: 1 }) });
    await world.run(['tokens', 'list']);
    await world.run(['tokens', 'list', '--all']);
    expect((await world.run(['tokens', 'revoke', 'token-1'])).stdout).toContain('revoked');
    expect(world.lines()).toEqual(['GET /tokens', 'GET /tokens?all=1', 'POST /tokens/token-1/revoke']);
  });
});

describe('muster status and loaders', () => {
  it('tells addresses in whatever form, and machines by state', async () => {
    const addresses = { api: ['https://192.0.2.2:8443', 'https://10.0.0.1:8443'], tftp: { port: 69 } };
    world.answer('GET /status', { version: '0.1.0', uptimeSeconds: 65, addresses, machines: { active: 2, failed: 0 } });
    const { stdout } = await world.run(['status']);
    expect(stdout).toContain('Muster 0.1.0 up for 1 min 5 s');
    expect(stdout).toMatch(/api +https:\/\/192\.0\.2\.2:8443\n +https:\/\/10\.0\.0\.1:8443\n +tftp +port 69/);
    expect(stdout).toMatch(/machines +2 active\n/);
  });

  it('lists loaders', async () => {
    world.answer('GET /loaders', {
      loaders: [
        {
          ...{ name: 'ipxe.efi', architecture: 'x64-uefi', sizeBytes: 1, sha256: '', package: 'ipxe' },
          ...{ version: '1', licence: 'GPL', tested: true },
        },
      ],
    });
    expect((await world.run(['loaders', 'list'])).stdout).toMatch(/ipxe\.efi +x64-uefi +1 B +tested/);
  });
});
