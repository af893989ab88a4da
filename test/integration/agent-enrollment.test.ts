import { readdirSync, readFileSync, statSync, existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentLab, pause, sha256, TOKEN } from '../support/agent-lab.ts';

let lab: AgentLab;
beforeEach(() => {
  lab = new AgentLab();
});
afterEach(() => lab.close());

const ENROLL = '/api/v1/enroll';
const DESIRED = '/api/v1/agent/desired';

/** The command lines of all processes, as any user of the machine can read them with ps. */
function commandLines(): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .join('\n');
}

describe('enrollment of the agent', () => {
  it('shows its token and its facts once the authority matches the pin, and then deletes the token', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    await lab.listen();
    const run = lab.startAgent();
    await lab.until('a question with the certificate', () => lab.asked(DESIRED).length > 0);

    const [enroll] = lab.asked(ENROLL);
    expect(lab.requests[0]?.path).toBe('/ca.pem');
    expect(enroll?.authorization).toBe(`Bearer ${TOKEN}`);
    const { csr, ...facts } = Object.fromEntries(enroll?.form ?? []);
    expect(csr).toContain('BEGIN CERTIFICATE REQUEST');
    expect(facts).toMatchObject({
      uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
      serial: 'SN "7" \\ 8',
      vendor: 'Lab & Sons',
      product: 'Bench',
      firmware: 'bios',
      cpu_count: String(cpus().length),
    });
    expect(Number(facts.memory_bytes)).toBe(totalmem());
    expect(enroll?.form.getAll('mac')).toEqual(['52:54:00:00:00:01', '52:54:00:00:00:02']);
    expect(enroll?.form.getAll('disk')).toEqual(['nvme0n1,2048408248320,FAST  DISK', 'vda,1048576,']);

    expect(lab.asked(DESIRED)[0]?.client).toMatch(/^[0-9A-F]+$/);
    expect(lab.asked(DESIRED)[0]?.authorization).toBeUndefined();
    expect(existsSync(lab.path('token'))).toBe(false);
    expect(statSync(lab.path('state')).mode & 0o777).toBe(0o700);
    expect(statSync(lab.path('state/machine.key')).mode & 0o777).toBe(0o600);
    expect(await run.stop()).toBe(0);
    expect(run.output()).not.toContain(TOKEN);
    expect(run.output()).not.toContain('STDERR');
  });

  it('keeps the token and the key out of every command line (ps shows those to all)', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    let seen = '';
    lab.answer(ENROLL, (request) => {
      seen = commandLines();
      return lab.enrolled(request);
    });
    await lab.listen();
    lab.startAgent();
    await lab.until('enrollment', () => lab.asked(DESIRED).length > 0);
    expect(seen).toContain('/api/v1/enroll');
    expect(seen).not.toContain(TOKEN);
    expect(seen).not.toContain('PRIVATE KEY');
  });

  it('waits with growing pauses for a server that is down, and joins when it comes up', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    await lab.listen();
    await lab.stopListening();
    const run = lab.startAgent();
    await lab.until('three attempts', () => run.output().split('cannot fetch').length > 3);
    await lab.listen();
    await lab.until('enrollment', () => lab.asked(DESIRED).length > 0);
    expect(lab.asked(ENROLL)).toHaveLength(1);
  });

  it('never shows its token to a server whose authority does not match the pin', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    await lab.listen();
    const run = lab.startAgent({}, sha256('another authority'));
    await lab.until('three attempts', () => lab.asked('/ca.pem').length >= 3);
    expect(lab.requests.every((request) => request.path === '/ca.pem' && request.authorization === undefined)).toBe(
      true,
    );
    expect(run.output()).toContain('does not match muster.ca');
    expect(existsSync(lab.path('token'))).toBe(true);
  });

  it('never shows its token to a server that hands out the right authority but has a certificate of another', async () => {
    lab.makeImpostor();
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    await lab.listen('impostor');
    const run = lab.startAgent();
    await lab.until('three attempts', () => run.output().split('enrollment put off').length > 3);
    expect(lab.requests.map((request) => request.path)).toEqual(['/ca.pem']);
  });

  it('leaves a server alone that refused the token for good', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, () => ({ status: 401, body: 'token-expired: the token ended at noon' }));
    await lab.listen();
    const run = lab.startAgent();
    await lab.until('the refusal', () => run.output().includes('enrollment refused: 401 token-expired'));
    await pause(500);
    expect(lab.asked(ENROLL)).toHaveLength(1);
    expect(existsSync(lab.path('token'))).toBe(true);
  });

  it('asks again after a refusal once the long pause is over, and then tells the server what had been wrong', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, (request) =>
      lab.asked(ENROLL).length === 1 ? { status: 403, body: 'machine-not-approved: wait' } : lab.enrolled(request),
    );
    await lab.listen();
    lab.startAgent({ MUSTER_REFUSED_DELAY_MS: '300' });
    await lab.until('the event', () => lab.asked('/api/v1/agent/event').length > 0);
    const [first, second] = lab.asked(ENROLL);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(300);
    const [event] = lab.asked('/api/v1/agent/event');
    expect(Object.fromEntries(event?.form ?? [])).toEqual({
      level: 'error',
      message: 'enrollment refused: 403 machine-not-approved: wait',
    });
  });

  it('waits as long as a busy server says (RFC 9110 section 10.2.3)', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, (request) =>
      lab.asked(ENROLL).length === 1 ? { status: 503, headers: { 'retry-after': '1' } } : lab.enrolled(request),
    );
    await lab.listen();
    lab.startAgent();
    await lab.until('enrollment', () => lab.asked(DESIRED).length > 0);
    const [first, second] = lab.asked(ENROLL);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1000);
  });

  it('comes back with the same key when the answer to its enrollment was lost', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, (request) =>
      lab.asked(ENROLL).length === 1 ? { status: 201, lost: true } : lab.enrolled(request),
    );
    await lab.listen();
    lab.startAgent();
    await lab.until('enrollment', () => lab.asked(DESIRED).length > 0);
    const keys = lab.asked(ENROLL).map((request) => lab.publicKeyOf(request));
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  it('does not take a certificate that is not for its key', async () => {
    lab.scriptHealthyServer({ text: '#cloud-config\n' });
    lab.answer(ENROLL, () => ({ status: 201, body: lab.read('server.pem') }));
    await lab.listen();
    const run = lab.startAgent();
    await lab.until('an objection', () => run.output().includes('is not for this machine'));
    expect(existsSync(lab.path('state/machine.pem'))).toBe(false);
    expect(existsSync(lab.path('token'))).toBe(true);
  });

  it('ends with EX_CONFIG, which the unit does not restart, when the command line names no server', async () => {
    const run = lab.startAgent({ MUSTER_CMDLINE: lab.write('bare', 'quiet root=live:x\n') });
    expect(await run.ended).toBe(78);
    expect(run.output()).toContain('muster.url=https://HOST:PORT is missing');
  });
});
