// The real agent against the real server, without a VM: enroll, config, report, heartbeat, `active`; and the server killed and
// started again on the same data in between.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync, chmodSync, existsSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApp, type App } from '../../src/app.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { sha256 } from '../../src/platform/sha256.ts';
import { createApiClient } from '../support/api-client.ts';

const AGENT = resolve(import.meta.dirname, '../../boot-assets/agent/muster-agent');
const MAC = '52:54:00:00:00:77';

describe('agent and server', () => {
  let folder: string;
  let app: App;
  let agent: ChildProcess | undefined;
  const at = (name: string): string => join(folder, name);

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'muster-join-'));
    for (const name of ['profiles', 'cloud-config', 'run-cloud-init', 'sys/class/net/eth0/device'])
      mkdirSync(at(name), { recursive: true });
    writeFileSync(at('sys/class/net/eth0/address'), `${MAC}\n`);
    writeFileSync(at('sys/class/net/eth0/type'), '1\n');
    writeFileSync(
      at('profiles/all.yaml'),
      `name: all\nhostname: ${hostname()}\nboot: { image: none }\ncloudConfig: [base]\n`,
    );
    writeFileSync(
      at('cloud-config/base.yaml'),
      `write_files: [{ path: ${at('written')}, content: "by cloud-init\\n" }]\n`,
    );
    writeFileSync(at('written'), 'by cloud-init\n');
    writeFileSync(at('run-cloud-init/result.json'), '{}');
    writeFileSync(at('cloud-init'), '#!/bin/sh\necho "status: done"\n');
    chmodSync(at('cloud-init'), 0o755);
    app = await startServer(0, 0);
  });

  afterEach(async () => {
    agent?.kill();
    await app.stop();
    rmSync(folder, { recursive: true });
  });

  async function startServer(http: number, api: number): Promise<App> {
    const settings = parseSettings({ name: 'test', text: '' }, {});
    const started = createApp(
      {
        ...settings,
        dataDirectory: at('data'),
        interfaces: ['lo'],
        dhcp: { ...settings.dhcp, mode: 'off' },
        tftp: { ...settings.tftp, enabled: false },
        http: { port: http, artifactsUrl: '' },
        api: { ...settings.api, port: api },
        agent: { heartbeatSeconds: 1 },
        profilesDirectory: at('profiles'),
        cloudConfigDirectory: at('cloud-config'),
      },
      { logger: pino({ level: 'silent' }), version: 'test' },
    );
    await started.start();
    return started;
  }

  const client = () => createApiClient(`https://127.0.0.1:${app.addresses.api.port}`, at('data'));
  const machine = async () => {
    const { machines } = await client().get<{ machines: { id: string; state: string; certificateSerial?: string }[] }>(
      '/api/v1/machines',
    );
    return machines[0];
  };
  async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    for (let tries = 0; tries < 200; tries += 1) {
      const found = await look();
      if (found !== undefined) return found;
      await sleep(100);
    }
    throw new Error(`waited too long for ${what}; the machine is ${JSON.stringify(await machine())}`);
  }

  function startAgent(): void {
    const pin = sha256(readFileSync(at('data/ca.pem')));
    writeFileSync(
      at('cmdline'),
      `quiet muster.url=https://127.0.0.1:${app.addresses.api.port} muster.ca=sha256:${pin}\n`,
    );
    const environment = {
      MUSTER_STATE: at('state'),
      MUSTER_TOKEN_FILE: at('token'),
      MUSTER_CMDLINE: at('cmdline'),
      MUSTER_SYS: at('sys'),
      MUSTER_CLOUD_INIT: at('cloud-init'),
      MUSTER_CLOUD_INIT_RUN: at('run-cloud-init'),
      MUSTER_CLOUD_INIT_DATA: at('user-data.txt'),
      MUSTER_FIRST_DELAY_MS: '100',
      MUSTER_LONGEST_DELAY_MS: '500',
    };
    agent = spawn(AGENT, [], { env: { ...process.env, ...environment }, stdio: 'ignore' });
  }

  async function putToken(): Promise<void> {
    const { token } = await client().post<{ token: string }>('/api/v1/tokens', { ttlSeconds: 600, mac: MAC });
    writeFileSync(at('token'), `${token}\n`, { mode: 0o600 });
  }

  it('make a machine active, with a certificate of its own and what was applied read back', async () => {
    await putToken();
    startAgent();
    const found = await until('an active machine', async () =>
      (await machine())?.state === 'active' ? machine() : undefined,
    );
    expect(found.certificateSerial).toMatch(/^[0-9a-f]{16,}$/);
    expect(existsSync(at('token'))).toBe(false);
    const { events } = await client().get<{ events: { kind: string; details: object }[] }>('/api/v1/events');
    expect(events.find(({ kind }) => kind === 'config-applied')?.details).toMatchObject({
      cloudInit: 'done',
      hostname: hostname(),
    });
  });

  it('end with the same identity when the server goes away between enrollment and config', async () => {
    await putToken();
    rmSync(at('run-cloud-init/result.json'));
    startAgent();
    const enrolled = await until('an enrolled machine', async () =>
      (await machine())?.state === 'enrolled' ? machine() : undefined,
    );
    const { http, api } = app.addresses;
    await app.stop();
    writeFileSync(at('run-cloud-init/result.json'), '{}');
    await sleep(300);
    app = await startServer(http.port, api.port);
    const active = await until('an active machine', async () =>
      (await machine())?.state === 'active' ? machine() : undefined,
    );
    expect(active).toMatchObject({ id: enrolled.id, certificateSerial: enrolled.certificateSerial });
  });

  it('fail a machine whose file differs from what was served, and say which', async () => {
    writeFileSync(at('written'), 'by somebody else\n');
    await putToken();
    startAgent();
    await until('a failed machine', async () => ((await machine())?.state === 'failed' ? machine() : undefined));
    expect(await machine()).toMatchObject({ stateReason: `${at('written')} has other content` });
  });
});
