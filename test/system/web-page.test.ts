// The web page in Debian's Chromium, over TLS as it is served: what people see while machines come up. No reload is made
// where the page is said to follow by itself.
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openKeyRing } from '../../src/crypto/key-ring.ts';
import { issueServerCertificates, type ServerTls } from '../../src/crypto/server-certificates.ts';
import type { NewBootEvent } from '../../src/events/boot-event.ts';
import type { Machine } from '../../src/machines/machine.ts';
import { aMac, aMachine, aMachineId, aSessionId } from '../support/domain-builders.ts';
import { Scratch } from '../support/openssl.ts';
import { ADMIN_TOKEN, anHttpWorld } from '../unit/http/http-world.ts';

const CHROMIUM = '/usr/bin/chromium';
const ARGUMENTS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];
const why = existsSync(CHROMIUM) ? '' : ` (skipped: there is no ${CHROMIUM}; apt-get install chromium)`;

// Scripts for the page's own world, as text: this one has no document.
const MARK = "document.body.dataset.loaded = 'once'";
const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
const NAMELESS = `[...document.querySelectorAll('a, button, summary, input:not([hidden], [type=hidden])')]
  .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
  .map((one) => one.outerHTML)`;

type World = ReturnType<typeof anHttpWorld>;

describe.skipIf(why !== '')(`the web page in Chromium${why}`, () => {
  let scratch: Scratch;
  let tls: ServerTls;
  let browser: Browser;
  let world: World;
  let context: BrowserContext;
  let page: Page;
  let base: string;
  let complaints: string[];

  beforeAll(async () => {
    scratch = await Scratch.open();
    const ring = await openKeyRing(scratch.file('data'), { now: () => Date.now() });
    tls = await issueServerCertificates(ring, [], Date.now());
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  });
  afterAll(async () => {
    await browser.close();
    await scratch[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    world = anHttpWorld({ tls });
    await world.api.listen({ port: 0, host: '127.0.0.1' });
    base = `https://127.0.0.1:${(world.api.server.address() as AddressInfo).port}`;
    context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
    page = await context.newPage();
    complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
  });
  afterEach(async () => {
    await context.close();
    await world.api.close();
    expect(complaints.filter((text) => !text.includes('401'))).toEqual([]);
  });

  const logIn = async (): Promise<void> => {
    await page.goto(base);
    await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('Live').waitFor();
  };
  const observed = async (number = 1): Promise<Machine> => {
    const machine = await world.machines.observe({ mac: aMac(number), architecture: 'x64-uefi' });
    if (machine === undefined) throw new Error('no room for a machine');
    return machine;
  };
  const happens = async (machine: Machine, event: NewBootEvent, afterMs = 500): Promise<void> => {
    world.clock.time += afterMs;
    await world.events.recordNow({ ...event, machineId: machine.id, sessionId: aSessionId() });
  };

  it('opens to the admin token alone, and shuts at log-out', async () => {
    await page.goto(base);
    await page.getByLabel('Admin token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('This is not the admin token.').waitFor();
    await logIn();
    await page.getByText('No machine has called yet').waitFor();
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: '__Host-muster', httpOnly: true, secure: true, sameSite: 'Strict' });
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin token').waitFor();
  });

  it('follows a machine from its first call to active, without a reload', async () => {
    await logIn();
    await page.evaluate(MARK);
    const machine = await observed();
    const row = page.getByRole('row', { name: aMac() });
    await row.getByText('discovered').waitFor();

    await row.getByRole('link', { name: aMac() }).click();
    await page.getByText('Live').waitFor();
    await page.evaluate(MARK);
    const steps: readonly (readonly [event: NewBootEvent, shown: string])[] = [
      [
        { kind: 'dhcp-discover', details: { client: 'uefi-pxe', architecture: 'x64-uefi', interface: 'eth0' } },
        'DISCOVER from uefi-pxe (x64-uefi) on eth0',
      ],
      [
        { kind: 'dhcp-offer', details: { row: 'uefi-pxe', file: 'ipxe.efi', reason: 'r' } },
        'OFFER ipxe.efi [uefi-pxe]',
      ],
      [
        { kind: 'loader-served', details: { name: 'ipxe.efi', transport: 'tftp', sizeBytes: 1e6, durationMs: 250 } },
        '1.0 MB in 0.3 s, 4.0 MB/s',
      ],
      [
        { kind: 'script-served', details: { plan: 'netboot', profile: 'lab', reason: 'profile lab boots debian-12' } },
        'boot script: netboot',
      ],
      [
        { kind: 'kernel-served', details: { image: 'debian-12', sizeBytes: 8e6, durationMs: 80 } },
        'kernel of debian-12',
      ],
      [
        { kind: 'squashfs-served', details: { image: 'debian-12', sizeBytes: 4e8, durationMs: 4000 } },
        '400 MB in 4.0 s, 100 MB/s',
      ],
      [
        { kind: 'enrolled', details: { certificateSerial: 'ab12', tokenId: 't', notAfter: 0 } },
        'enrolled, certificate ab12',
      ],
      [
        { kind: 'machine-state', details: { from: 'configured', to: 'active', reason: 'it reports', by: 'agent' } },
        'configured → active: it reports (by agent)',
      ],
    ];
    const timeline = page.getByRole('region', { name: 'Latest boot' });
    for (const [event, shown] of steps) {
      await happens(machine, event);
      await timeline.getByText(shown).waitFor({ timeout: 5_000 });
    }
    await timeline.getByText('3.5 s from first call to active').waitFor();
    expect(await timeline.getByRole('listitem').count()).toBeGreaterThanOrEqual(steps.length);
    expect(await page.evaluate('document.body.dataset.loaded')).toBe('once');
  });

  it('approves a machine from the fleet and retires it from its own page', async () => {
    const machine = await observed();
    await logIn();
    await page.getByRole('button', { name: `Approve ${aMac()}` }).click();
    await page.getByRole('row', { name: aMac() }).getByText('approved').first().waitFor();
    expect(await world.machines.get(machine.id)).toMatchObject({ state: 'approved' });

    await page.getByRole('link', { name: aMac() }).click();
    await page.getByText('Retire…').click();
    await page.getByRole('button', { name: `Retire ${aMac()}` }).click();
    await page.getByRole('button', { name: `Bring back ${aMac()}` }).waitFor();
    expect(await world.machines.get(machine.id)).toMatchObject({ state: 'retired' });
  });

  it('keeps what a person is about to do while the page follows', async () => {
    const machine = await observed();
    await logIn();
    await page.getByRole('link', { name: aMac() }).click();
    await page.getByText('Live').waitFor();
    await page.getByText('Retire…').click();
    await happens(machine, { kind: 'seed-served', details: { file: 'user-data' } });
    await page.getByText('NoCloud user-data').waitFor();
    await page.getByRole('button', { name: `Retire ${aMac()}` }).waitFor();
  });

  it('comes back by itself when the connection was lost, with what happened meanwhile', async () => {
    const machine = await observed();
    await logIn();
    world.scheduler.runAll();
    await happens(machine, { kind: 'seed-served', details: { file: 'meta-data' } });
    await page.getByRole('row', { name: aMac() }).getByText('NoCloud meta-data').waitFor();
    await page.getByText('Live').waitFor();
  });

  it('shows what machines say of themselves as text', async () => {
    const attack = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    await world.stores.machines.insert(
      aMachine({ id: aMachineId('m-1'), hostname: attack, facts: { vendor: attack }, labels: { a: attack } }),
    );
    await logIn();
    await page.getByRole('link', { name: attack }).click();
    await page.getByText('Live').waitFor();
    expect(await page.getByText(attack).count()).toBeGreaterThanOrEqual(2);
    await world.events.recordNow({
      kind: 'agent-message',
      machineId: aMachineId('m-1'),
      details: { level: 'info', message: attack },
    });
    await page.getByRole('region', { name: 'Latest boot' }).getByText(attack).waitFor();
    expect(await page.title()).toBe(`${attack} · Muster`);
    expect(await page.locator('main img, main script').count()).toBe(0);
  });

  it.each([390, 768, 1280])('fits a screen of %i pixels without scrolling sideways', async (width) => {
    await page.setViewportSize({ width, height: 844 });
    const long = 'a-very-long-word-that-nobody-would-ever-choose-for-the-name-of-a-machine';
    await world.stores.machines.insert(
      aMachine({
        ...{ id: aMachineId('m-1'), hostname: long, stateReason: long, profile: long, image: long },
        facts: { vendor: long, disks: [{ name: 'sda', sizeBytes: 1e12, model: long }] },
        labels: { [long]: long },
      }),
    );
    const machine = await observed(2);
    await happens(machine, { kind: 'boot-refused', details: { resource: long, reason: long } });
    await page.goto(base);
    const overflow = (): Promise<unknown> => page.evaluate(OVERFLOW);
    expect(await overflow()).toBe(0);
    await logIn();
    for (const path of ['/', '/machines/m-1', `/machines/${machine.id}`, '/nothing']) {
      await page.goto(base + path);
      expect([path, await overflow()]).toEqual([path, 0]);
    }
    complaints = complaints.filter((text) => !text.includes('404'));
  });

  it('gives everything that can be pressed a name, and goes by keyboard', async () => {
    const machine = await observed();
    await logIn();
    for (const path of ['/', `/machines/${machine.id}`]) {
      await page.goto(base + path);
      expect(await page.evaluate(NAMELESS)).toEqual([]);
    }
    await page.goto(base);
    await page.getByRole('button', { name: `Approve ${aMac()}` }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(async () => (await world.machines.get(machine.id)).state).toBe('approved');
  });
});
