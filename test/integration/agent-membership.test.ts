import { existsSync, rmSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentLab, pause, sha256, TOKEN } from '../support/agent-lab.ts';

let lab: AgentLab;
beforeEach(async () => {
  lab = new AgentLab();
  lab.write('checked', 'what cloud-init wrote\n');
  await lab.listen();
});
afterEach(() => lab.close());

const ENROLL = '/api/v1/enroll';
const HEARTBEAT = '/api/v1/agent/heartbeat';
const REPORT = '/api/v1/agent/report';
const RENEW = '/api/v1/agent/renew';
const EVENT = '/api/v1/agent/event';

describe('an agent that is a member', () => {
  it('keeps its configuration to root, waits for cloud-init and reports what the machine really holds', async () => {
    const config = { text: '#cloud-config\nhostname: node-1\n', checkFiles: [lab.path('checked'), '/no/such file'] };
    lab.scriptHealthyServer(config);
    const run = lab.startAgent();
    await lab.until('a heartbeat', () => lab.asked(HEARTBEAT).length > 0);
    expect(lab.asked(REPORT)).toHaveLength(0);

    lab.setCloudInit('done');
    await lab.until('the report', () => lab.asked(REPORT).length > 0);
    const form = lab.asked(REPORT)[0]?.form;
    expect(form?.get('cloud_init')).toBe('done');
    expect(form?.get('cloud_init_detail')).toContain('DataSourceNoCloudNet');
    expect(form?.get('cloud_init_detail')).not.toContain('SEEDTOKEN');
    expect(form?.get('config_digest')).toBe(`sha256:${sha256(config.text)}`);
    expect(form?.get('hostname')).toBe(hostname());
    expect(form?.getAll('file')).toEqual([
      `${sha256('what cloud-init wrote\n')} ${lab.path('checked')}`,
      'missing /no/such file',
    ]);
    expect(lab.read('state/config')).toBe(config.text);
    expect(statSync(lab.path('state/config')).mode & 0o777).toBe(0o600);
    expect(run.output()).not.toContain('SEEDTOKEN');

    const beat = lab.asked(HEARTBEAT)[0]?.form;
    expect(Number(beat?.get('uptime_seconds'))).toBeGreaterThan(0);
    expect(Number(beat?.get('load'))).toBeGreaterThanOrEqual(0);
    expect(beat?.get('boot_id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('waits for the end of cloud-init even when an early stage has already failed', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.setCloudInit('error', 'one stage failed');
    rmSync(lab.path('run-cloud-init/result.json'));
    lab.startAgent();
    await lab.until('a heartbeat', () => lab.asked(HEARTBEAT).length > 0);
    expect(lab.asked(REPORT)).toHaveLength(0);
    lab.write('run-cloud-init/result.json', '{}');
    await lab.until('the event', () => lab.asked(EVENT).length > 0);
    expect(lab.asked(REPORT)[0]?.form.get('cloud_init')).toBe('error');
    expect(Object.fromEntries(lab.asked(EVENT)[0]?.form ?? [])).toEqual({
      level: 'error',
      message: 'cloud-init ended with errors: one stage failed',
    });
  });

  it('reports the digest of what cloud-init worked on, not of a configuration that came later', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n# changed since this boot\n' });
    lab.write('user-data.txt', '#cloud-config\n');
    lab.setCloudInit('done');
    lab.startAgent();
    await lab.until('a report', () => lab.asked(REPORT).length > 0);
    expect(lab.asked(REPORT)[0]?.form.get('config_digest')).toBe(`sha256:${sha256('#cloud-config\n')}`);
  });

  it('says that cloud-init is still at work when it takes too long, and reports again at its end', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.startAgent({ MUSTER_CLOUD_INIT_PATIENCE_MS: '300' });
    await lab.until('a first report', () => lab.asked(REPORT).length > 0);
    lab.setCloudInit('done');
    await lab.until('the last report', () => lab.asked(REPORT).some(({ form }) => form.get('cloud_init') === 'done'));
    expect(lab.asked(REPORT)[0]?.form.get('cloud_init')).toBe('running');
  });

  it('pulls and reports again when the digest in an answer changes', async () => {
    const config = { text: '#cloud-config\n' };
    lab.scriptHealthyServer(config);
    lab.setCloudInit('done');
    const run = lab.startAgent();
    await lab.until('the report', () => lab.asked(REPORT).length === 1);
    config.text = '#cloud-config\nhostname: other\n';
    await lab.until('a second report', () => lab.asked(REPORT).length === 2);
    expect(lab.asked(REPORT)[1]?.form.get('config_digest')).toBe(`sha256:${sha256(config.text)}`);
    expect(lab.read('state/config')).toBe(config.text);
    expect(run.output()).toContain('applied when the machine boots again');
  });

  it('renews its certificate at half of its life with the same key, and uses the new one', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, (request) => lab.enrolled(request, 3));
    lab.answer(RENEW, (request) => lab.enrolled(request));
    const run = lab.startAgent();
    await lab.until('the renewal', () => run.output().includes('certificate renewed'));
    const enrolledAt = lab.asked(ENROLL)[0]?.at ?? 0;
    const [renewal] = lab.asked(RENEW);
    expect((renewal?.at ?? 0) - enrolledAt).toBeGreaterThan(300);
    expect((renewal?.at ?? 0) - enrolledAt).toBeLessThan(3000);
    await lab.until('a heartbeat with the new certificate', () => {
      const client = lab.asked(HEARTBEAT).at(-1)?.client;
      return client !== undefined && client !== renewal?.client;
    });
    expect(lab.asked(RENEW)).toHaveLength(1);
  });

  it('stays a member when a renewal fails, and tries it again', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, (request) => lab.enrolled(request, 2));
    lab.answer(RENEW, (request) => (lab.asked(RENEW).length < 3 ? { status: 503 } : lab.enrolled(request)));
    const run = lab.startAgent();
    await lab.until('the renewal', () => run.output().includes('certificate renewed'));
    expect(lab.asked(ENROLL)).toHaveLength(1);
  });

  it('enrolls anew when its certificate is refused and a token is there', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    const run = lab.startAgent();
    await lab.until('a heartbeat', () => lab.asked(HEARTBEAT).length > 0);
    lab.write('token', `${TOKEN}\n`);
    const refused = lab.asked(HEARTBEAT)[0]?.client;
    lab.answer(HEARTBEAT, ({ client }) =>
      client === refused
        ? { status: 401, body: 'unauthorised: revoked' }
        : { status: 200, body: 'heartbeat_seconds=1\n' },
    );
    await lab.until('a second enrollment', () => lab.asked(ENROLL).length === 2);
    await lab.until('a heartbeat with it', () => (lab.asked(HEARTBEAT).at(-1)?.client ?? refused) !== refused);
    expect(run.output()).toContain("refuses this machine's certificate");
  });

  it('does not storm a server that refuses its certificate when there is no token', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(HEARTBEAT, () => ({ status: 401, body: 'unauthorised: retired' }));
    const run = lab.startAgent();
    await lab.until('the refusal', () => run.output().includes("refuses this machine's certificate"));
    await pause(500);
    expect(lab.asked(HEARTBEAT)).toHaveLength(1);
    expect(existsSync(lab.path('state/machine.pem'))).toBe(true);
  });

  it('goes on with its certificate after a restart, without a token', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    const first = lab.startAgent();
    await lab.until('a heartbeat', () => lab.asked(HEARTBEAT).length > 0);
    expect(await first.stop()).toBe(0);
    const before = lab.requests.length;
    lab.startAgent();
    await lab.until('a heartbeat', () => lab.requests.slice(before).some(({ path }) => path === HEARTBEAT));
    expect(lab.asked(ENROLL)).toHaveLength(1);
    expect(lab.asked(RENEW)).toHaveLength(0);
  });

  it('ends at once on TERM, even while a request hangs', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer('/api/v1/agent/desired', async () => {
      await pause(4000);
      return { status: 200 };
    });
    const run = lab.startAgent();
    await lab.until('the question', () => lab.asked('/api/v1/agent/desired').length > 0);
    const before = Date.now();
    expect(await run.stop()).toBe(0);
    expect(Date.now() - before).toBeLessThan(2000);
    expect(existsSync(lab.path('state/work'))).toBe(false);
  });
});
