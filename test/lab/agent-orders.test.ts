import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aDigest } from '../support/domain-builders.ts';
import {
  base64,
  EVENT,
  HEARTBEAT,
  IMAGE,
  ORDER,
  OrderLab,
  pem,
  PROGRESS,
  RUNNING,
  sign,
} from '../support/order-lab.ts';

let lab: OrderLab;
beforeEach(async () => {
  lab = new OrderLab();
  await lab.listen();
});
afterEach(() => lab.close());

const bootOf = (text: string): string => /^boot=(.*)$/m.exec(text)?.[1] ?? '';

describe('an upgrade order', () => {
  it('writes the other slot, marks it for trial and restarts; each phase is told', async () => {
    lab.installMachine();
    const boot = bootOf(lab.serveOrder());
    lab.startOrderAgent();
    await lab.until('the restart', () => lab.hasRestarted());
    expect(lab.calls()).toEqual([
      `write_slot B ${aDigest('3')} 700`,
      `install_boot_files ${aDigest('1')} ${aDigest('2')}`,
      `mark_trial B ${boot} 600 console=ttyS0 quiet`,
    ]);
    expect(lab.phases().at(-1)).toBe('rebooting');
    expect(lab.lastBeat()).toMatchObject({
      image: RUNNING,
      source: 'disk',
      slot: 'A',
      slot_state: 'good',
      version: '1.0',
    });
  });

  it('goes on with heartbeats, which say how far it is, while a download takes its time', async () => {
    lab.installMachine();
    lab.write('stub/slow', '');
    lab.serveOrder();
    lab.startOrderAgent();
    const during = () => lab.asked(HEARTBEAT).filter(({ form }) => form.get('order_phase') === 'downloading');
    await lab.until('three heartbeats', () => during().length >= 3);
    const bytes = during().map(({ form }) => Number(form.get('order_done_bytes')));
    expect(bytes.at(-1)).toBeGreaterThan(bytes[0] ?? 0);
    expect(during()[0]?.form.get('order_total_bytes')).toBe('1000');
    expect(during()[0]?.form.get('order_id')).toBe('r-1');
    const told = lab.asked(PROGRESS).filter(({ form }) => form.get('phase') === 'downloading');
    expect(told.length).toBeGreaterThan(2);
    rmSync(lab.path('stub/slow'));
    await lab.until('the restart', () => lab.hasRestarted());
  });

  it('is given up when the server takes it back, with all that worked on it, and nothing is left that could be started', async () => {
    lab.installMachine();
    lab.write('stub/slow', '');
    lab.serveOrder();
    const run = lab.startOrderAgent();
    await lab.until('the download', () => lab.lastBeat().order_phase === 'downloading');
    lab.named = undefined;
    lab.answer(ORDER, () => ({ status: 404 }));
    await lab.until('the end', () => run.output().includes('given up'));
    expect(workersOf(lab)).toEqual([]);
    expect(existsSync(lab.path('state/order'))).toBe(false);
    expect(lab.calls().some((call) => call.startsWith('mark_trial'))).toBe(false);

    rmSync(lab.path('stub/slow'));
    lab.serveOrder();
    await lab.until('the same order once more', () => lab.hasRestarted());
  });

  it('is given up on a cancel that names it, even where the id in heartbeats stays the same', async () => {
    lab.installMachine();
    lab.write('stub/slow', '');
    lab.serveOrder();
    const run = lab.startOrderAgent({ MUSTER_ORDER_REFRESH_MS: '300' });
    await lab.until('the download', () => lab.lastBeat().order_phase === 'downloading');
    lab.serveOrder({ kind: 'cancel' });
    await lab.until('the end', () => run.output().includes('given up'));
    expect(workersOf(lab)).toEqual([]);
  });

  it('leaves no work behind when the agent is told to end', async () => {
    lab.installMachine();
    lab.write('stub/slow', '');
    lab.serveOrder();
    const run = lab.startOrderAgent();
    await lab.until('the download', () => lab.lastBeat().order_phase === 'downloading');
    expect(workersOf(lab)).toHaveLength(1);
    expect(await run.stop()).toBe(0);
    expect(workersOf(lab)).toEqual([]);
  });

  it('restarts no earlier than the window of the server allows, and writes before', async () => {
    lab.installMachine();
    const soon = Math.floor(Date.now() / 1000) + 4;
    lab.serveOrder({ lines: { not_before: String(soon) } });
    lab.startOrderAgent();
    await lab.until('the wait', () => (lab.lastBeat().order_reason ?? '').startsWith('waits until'));
    expect(lab.calls()).toHaveLength(2);
    await lab.until('the restart', () => lab.hasRestarted());
    expect(Date.now()).toBeGreaterThan(soon * 1000 - 1000);
  });

  it('waits for the next window where this one has passed', async () => {
    lab.installMachine();
    lab.serveOrder({ lines: { not_after: '1790000000' } });
    lab.startOrderAgent({ MUSTER_ORDER_REFRESH_MS: '300' });
    await lab.until('the wait', () => (lab.lastBeat().order_reason ?? '').includes('has passed'));
    expect(lab.hasRestarted()).toBe(false);
    lab.serveOrder();
    await lab.until('the restart', () => lab.hasRestarted());
  });

  it('fails with the reason of the disk, and is begun again only after a pause', async () => {
    lab.installMachine();
    lab.write('stub/write_slot', 'the disk is bad');
    lab.serveOrder();
    lab.startOrderAgent({ MUSTER_FAILED_ORDER_MS: '2500' });
    await lab.until('the failure', () => lab.phases().includes('failed'));
    const failedAt = lab.asked(PROGRESS).find(({ form }) => form.get('phase') === 'failed')?.at ?? 0;
    expect(lab.asked(PROGRESS).at(-1)?.form.get('reason')).toBe('the disk is bad');
    rmSync(lab.path('stub/write_slot'));
    await lab.until('the second attempt', () => lab.hasRestarted());
    expect(Date.now() - failedAt).toBeGreaterThan(2000);
  });

  it('is begun again at once under a new id', async () => {
    lab.installMachine();
    lab.write('stub/write_slot', 'the disk is bad');
    lab.serveOrder();
    lab.startOrderAgent();
    await lab.until('the failure', () => lab.phases().includes('failed'));
    rmSync(lab.path('stub/write_slot'));
    lab.serveOrder({ id: 'r-2' });
    await lab.until('the second attempt', () => lab.hasRestarted());
  });

  it('is not begun while the running slot is on trial itself', async () => {
    lab.installMachine('muster.state=trial');
    lab.write('systemctl', '');
    lab.serveOrder();
    lab.startOrderAgent({ MUSTER_HEALTH_POLL_MS: '60000' });
    await lab.until('heartbeats', () => lab.asked(HEARTBEAT).length > 2);
    expect(lab.lastBeat().slot_state).toBe('trial');
    expect(lab.asked(ORDER)).toEqual([]);
  });
});

const refusals: readonly (readonly [
  string,
  RegExp,
  Parameters<OrderLab['serveOrder']>[0] | ((lab: OrderLab) => Parameters<OrderLab['serveOrder']>[0]),
])[] = [
  ['without a release signature', /no release key has signed this image/, { release: undefined }],
  [
    'with the signature of another release key',
    /no release key has signed/,
    (of) => ({ release: of.stranger.privateKey }),
  ],
  ['whose release signature is of another image', /signed another image/, { signedBoot: aDigest('f') }],
  [
    'of an image that was signed for another repository',
    /another repository \(fleet\/db\)/,
    { signedFor: 'r:1/fleet/db' },
  ],
  ['without the signature of an operator', /no operator has signed this rollout/, { operator: undefined }],
  [
    'signed by an operator it does not know',
    /no operator that this machine knows/,
    (of) => ({ operator: of.stranger.privateKey }),
  ],
  ['whose operator approved another image', /operator has signed another image/, { rollout: { digest: aDigest('e') } }],
  [
    'whose operator approved another repository',
    /operator has signed another image/,
    { rollout: { repository: 'fleet/db' } },
  ],
  ['whose approval has expired', /signature has expired/, { rollout: { createdAt: Date.now() - 91 * 86_400_000 } }],
  ['to an older version', /version 0.9 is older than 1.0/, { version: '0.9' }],
  ['to a pre-release of what runs (1.0~rc1 < 1.0)', /1.0~rc1 is older/, { version: '1.0~rc1' }],
  ['to an image without a version', /has no version/, { version: '', lines: { version: undefined } }],
  ['past a stepping stone', /needs version 1.0.5 first/, { version: '2.0', requiresVersion: '1.0.5' }],
  [
    'whose boot manifest is not what the digest says',
    /boot manifest in the order has another digest/,
    { lines: { boot_manifest_base64: 'e30=' } },
  ],
  [
    'whose boot configuration is not what the manifest names',
    /boot configuration in the order has another digest/,
    { lines: { boot_config_base64: 'eyJ2ZXJzaW9uIjoiOSJ9' } },
  ],
  ['of an unknown kind', /unknown kind \(format\)/, { kind: 'format' }],
  ['that is malformed', /malformed at image/, { lines: { image: 'sha256:../../x' } }],
  ['that says a thing twice', /malformed at image/, { lines: { 'image#2': aDigest('f') } }],
  [
    'whose command line says where the root is',
    /malformed at command_line/,
    { lines: { command_line: 'quiet root=live:http://x' } },
  ],
  ['whose command line means something to GRUB', /malformed at command_line/, { lines: { command_line: 'quiet $x' } }],
  ['without an image', /names no image/, { lines: { artifacts_url: undefined } }],
];

describe('an upgrade order is refused, once, with nothing touched,', () => {
  it.each(refusals)('%s', async (_what, reason, overrides) => {
    lab.installMachine();
    lab.serveOrder(typeof overrides === 'function' ? overrides(lab) : overrides);
    lab.startOrderAgent();
    await lab.until('the refusal', () => lab.phases().includes('refused'));
    const told = lab.asked(PROGRESS).find(({ form }) => form.get('phase') === 'refused');
    expect(told?.form.get('reason')).toMatch(reason);
    await lab.until('a heartbeat that says so', () => lab.lastBeat().order_phase === 'refused');
    expect(lab.lastBeat().order_reason).toMatch(reason);
    expect(lab.asked(ORDER)).toHaveLength(1);
    expect(lab.calls()).toEqual([]);
    expect(lab.lastBeat().image).toBe(RUNNING);
  });

  it('where the machine has no key to check it with, unless it was installed to do without', async () => {
    lab.installMachine();
    rmSync(lab.path('oem/muster/trust'), { recursive: true });
    lab.serveOrder();
    lab.startOrderAgent();
    await lab.until('the refusal', () => lab.phases().includes('refused'));
    expect(lab.asked(PROGRESS).at(-1)?.form.get('reason')).toMatch(/no release key is on this machine/);
    lab.write('oem/muster/trust/unsigned-allowed', '');
    lab.serveOrder({ id: 'r-2', release: undefined, operator: undefined });
    await lab.until('the restart', () => lab.hasRestarted());
  });

  it('also after a restart of the agent', async () => {
    lab.installMachine();
    lab.serveOrder({ version: '0.9' });
    const first = lab.startOrderAgent();
    await lab.until('the refusal', () => lab.phases().includes('refused'));
    await first.stop();
    lab.startOrderAgent();
    const before = lab.asked(HEARTBEAT).length;
    await lab.until('heartbeats', () => lab.asked(HEARTBEAT).length > before + 1);
    expect(lab.asked(ORDER)).toHaveLength(1);
  });

  it('with a document that says more than nine lines, though an operator signed it', async () => {
    lab.installMachine();
    const text = lab.renderOrder();
    const document = Buffer.from(/^rollout_base64=(.*)$/m.exec(text)?.[1] ?? '', 'base64').toString();
    const longer = `${document}downgrade=yes\n`;
    lab.serveOrder({
      lines: { rollout_base64: base64(longer), rollout_signature_base64: sign(longer, lab.operator.privateKey) },
    });
    lab.startOrderAgent();
    await lab.until('the refusal', () => lab.phases().includes('refused'));
    expect(lab.asked(PROGRESS).at(-1)?.form.get('reason')).toMatch(/another form/);
  });
});

describe('an upgrade order is taken', () => {
  it.each([
    ['to 1.10 from 1.9, which plain text would call older', '1.9', '1.10', false],
    ['to the same version', '1.0', '1.0', false],
    ['to an older version where the operator allowed it', '1.0', '0.9', true],
    ['where what runs has no version', '-', '0.1', false],
  ])('%s', async (_what, running, version, downgrade) => {
    lab.installMachine();
    lab.write('oem/muster/slots', `A ${RUNNING} ${aDigest('c')} ${running} 1790000000\n`);
    lab.serveOrder({ version, rollout: { downgrade } });
    lab.startOrderAgent();
    await lab.until('the restart', () => lab.hasRestarted());
  });

  it('where one of several release signatures is of a key it knows', async () => {
    lab.installMachine();
    const good = lab.renderOrder();
    const field = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(good)?.[1] ?? '';
    lab.serveOrder({
      release: lab.stranger.privateKey,
      lines: {
        release_payload_base64_1: field('release_payload_base64'),
        release_signature_base64_1: field('release_signature_base64'),
      },
    });
    lab.startOrderAgent();
    await lab.until('the restart', () => lab.hasRestarted());
  });
});

describe('other orders', () => {
  it('restart a machine that runs from the network', async () => {
    lab.bootsFromNetwork();
    lab.answer(ORDER, () => ({ status: 200, body: `id=r-1\nkind=reboot\nrepository=fleet/os\nimage=${IMAGE}\n` }));
    lab.startOrderAgent();
    await lab.until('a heartbeat', () => lab.asked(HEARTBEAT).length > 0);
    lab.named = 'r-1';
    await lab.until('the restart', () => lab.hasRestarted());
    expect(lab.phases().at(-1)).toBe('rebooting');
    expect(lab.lastBeat()).toMatchObject({ image: RUNNING, source: 'network' });
    expect(lab.lastBeat().slot).toBeUndefined();
  });

  it('install a machine: keys, paths to keep, seed and identity go with it', async () => {
    lab.bootsFromNetwork();
    const key = (of: { publicKey: Parameters<typeof pem>[0] }) => Buffer.from(pem(of.publicKey)).toString('base64');
    lab.serveOrder({
      ...{ kind: 'install', id: 'install-1', operator: undefined },
      lines: {
        ...{ disk_min_bytes: '0', disk_max_bytes: '0', disk_force: 'no', recovery: 'yes', slot_mebibytes: '256' },
        ...{ persist: '/var/lib/app', 'persist#2': '/etc/ssh' },
        ...{ trust_release_base64: key(lab.release), trust_operator_base64: key(lab.operator), trust_unsigned: 'no' },
      },
    });
    lab.startOrderAgent();
    await lab.until('the restart', () => lab.hasRestarted());
    expect(lab.calls()).toEqual(['install_to_disk 1.1']);
    expect(lab.phases().at(-1)).toBe('installed');
    expect(lab.read('oem/trust/release/1.pub')).toBe(pem(lab.release.publicKey));
    expect(lab.read('oem/trust/operator/1.pub')).toBe(pem(lab.operator.publicKey));
    expect(existsSync(lab.path('oem/trust/unsigned-allowed'))).toBe(false);
    expect(lab.read('oem/persist')).toBe('/var/lib/app\n/etc/ssh\n');
    expect(lab.read('oem/seed/user-data')).toBe('#cloud-config\n');
    expect(lab.read('oem/seed/meta-data')).toBe('instance-id: "01J-MACHINE"\nlocal-hostname: "node-1"\n');
    expect(readdirSync(lab.path('oem/identity')).sort()).toEqual([
      'ca.pem',
      'machine-id',
      'machine.key',
      'machine.pem',
    ]);
    expect(statSync(lab.path('oem/identity/machine.key')).mode & 0o777).toBe(0o600);
  });

  it.each([
    [
      'an installation whose release signature is not of the keys that come with it',
      'install',
      /no release key has signed/,
    ],
    ['an upgrade of a machine without slots', 'upgrade', /has no slots/],
  ])('are refused: %s', async (_what, kind, reason) => {
    lab.bootsFromNetwork();
    const key = Buffer.from(pem(lab.stranger.publicKey)).toString('base64');
    lab.serveOrder({ kind, lines: { trust_release_base64: key } });
    lab.startOrderAgent();
    await lab.until('the refusal', () => lab.phases().includes('refused'));
    expect(lab.asked(PROGRESS).at(-1)?.form.get('reason')).toMatch(reason);
    expect(lab.calls()).toEqual([]);
    await lab.until('the event', () => lab.asked(EVENT).some(({ form }) => reason.test(form.get('message') ?? '')));
  });

  it('to a server that lost its mind for a moment (503) are asked for again', async () => {
    lab.installMachine();
    const text = lab.serveOrder();
    lab.answer(ORDER, () => (lab.asked(ORDER).length < 3 ? { status: 503 } : { status: 200, body: text }));
    lab.startOrderAgent();
    await lab.until('the restart', () => lab.hasRestarted());
  });
});

/** The processes that work on an order of this lab. */
function workersOf(of: OrderLab): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
        return read('environ').includes(of.path('stub')) && read('cmdline').endsWith('muster-agent\0work\0');
      } catch {
        return false;
      }
    });
}
