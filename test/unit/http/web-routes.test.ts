import { describe, expect, it } from 'vitest';
import { aMac, aMachine, aMachineId, anEvent, anImage, NOON } from '../../support/domain-builders.ts';
import { ADMIN_TOKEN, anHttpWorld, AS_ADMIN, FORM } from './http-world.ts';

const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };

function aWorld() {
  const world = anHttpWorld();
  const cookie = `__Host-muster=${world.sessions.open()}`;
  const get = (url: string, headers: Record<string, string> = { cookie }) => world.api.inject({ url, headers });
  const post = (url: string, payload = '', headers: Record<string, string> = { cookie, ...SAME_ORIGIN }) =>
    world.api.inject({ method: 'POST', url, payload, headers: { ...FORM, ...headers } });
  return { ...world, get, post, cookie };
}

describe('the door', () => {
  it('shows the form to whoever has no session, and nothing of the fleet', async () => {
    const { get, machines } = aWorld();
    await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    const door = await get('/', {});
    expect([door.statusCode, door.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(door.body).toContain('Admin token');
    expect(door.body).toContain('admin-token');
    expect(door.body).not.toContain(aMac());
  });

  it('opens to the admin token with a cookie that scripts and other sites never get', async () => {
    const { post, get } = aWorld();
    const answer = await post('/login', `token=+${ADMIN_TOKEN}%0A`, SAME_ORIGIN);
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/']);
    const cookie = String(answer.headers['set-cookie']);
    expect(cookie).toMatch(/^__Host-muster=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
    expect((await get('/', { cookie: cookie.split(';')[0] ?? '' })).body).toContain('Log out');
  });

  it('stays shut to a wrong token, and to forms of other sites', async () => {
    const { post } = aWorld();
    const wrong = await post('/login', 'token=wrong', SAME_ORIGIN);
    expect([wrong.statusCode, wrong.headers['set-cookie']]).toEqual([401, undefined]);
    expect(wrong.body).toContain('This is not the admin token.');
    const foreign = await post('/login', `token=${ADMIN_TOKEN}`, { origin: 'https://evil.example' });
    expect([foreign.statusCode, foreign.headers['set-cookie']]).toEqual([403, undefined]);
    expect((await post('/login', '', SAME_ORIGIN)).statusCode).toBe(400);
  });

  it('lets one address guess ten times a minute', async () => {
    const { post } = aWorld();
    for (let tries = 0; tries < 10; tries += 1) await post('/login', 'token=wrong', SAME_ORIGIN);
    const answer = await post('/login', `token=${ADMIN_TOKEN}`, SAME_ORIGIN);
    expect([answer.statusCode, answer.headers['set-cookie']]).toEqual([429, undefined]);
    expect(answer.body).toContain('<h1>A moment, please</h1>');
  });

  it('shuts behind whoever logs out', async () => {
    const { post, get } = aWorld();
    const answer = await post('/logout');
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/']);
    expect(String(answer.headers['set-cookie'])).toMatch(/^__Host-muster=; .*(?:Max-Age=0|Expires=Thu, 01 Jan 1970)/);
    expect((await get('/')).body).toContain('Admin token');
  });

  it('shuts after twelve hours', async () => {
    const { get, clock } = aWorld();
    clock.time = NOON + 12 * 3_600_000 - 1;
    expect((await get('/')).body).toContain('Log out');
    clock.time += 1;
    expect((await get('/')).body).toContain('Admin token');
  });
});

describe('the pages', () => {
  it('teach what to do where there is nothing yet', async () => {
    const { get, images } = aWorld();
    const { body } = await get('/');
    expect(body).toContain('No machine has called yet');
    expect(body).toContain('./muster images import');
    images.put(anImage());
    expect((await get('/')).body).not.toContain('./muster images import');
  });

  it('show each machine with its state, what happened last, and who waits for approval', async () => {
    const { get, machines, events } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    await events.recordNow(anEvent({ machineId: machine!.id }));
    const { body, headers } = await get('/');
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toContain(aMac());
    expect(body).toContain('DISCOVER from uefi-pxe (x64-uefi) on eth0');
    expect(body).toContain(`aria-label="Approve ${aMac()}"`);
    expect((await get('/?state=active')).body).toContain('No machine is active now.');
    expect((await get('/?state=nonsense')).body).toContain(aMac());
  });

  it('show one machine by any reference, and a page where there is none', async () => {
    const { get, machines } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    expect((await get(`/machines/${machine!.id}`)).body).toContain('first seen on the network');
    const missing = await get('/machines/stranger');
    expect([missing.statusCode, missing.headers['content-type']]).toEqual([404, 'text/html; charset=utf-8']);
    expect((await get('/nothing/here')).body).toContain('<h1>Not here</h1>');
  });

  it('show what a machine said of itself as text, never as markup', async () => {
    const { get, stores } = aWorld();
    const attack = `<img src=x onerror=alert(1)>"'&`;
    await stores.machines.insert(
      aMachine({
        id: aMachineId('m-1'),
        hostname: attack,
        stateReason: attack,
        profile: attack,
        serial: attack,
        labels: { [attack]: attack },
        facts: { vendor: attack, product: attack, cpu: attack, disks: [{ name: attack, sizeBytes: 1, model: attack }] },
      }),
    );
    for (const url of ['/', '/machines/m-1', '/fragments/machines', '/fragments/machines/m-1']) {
      const { body } = await get(url);
      expect(body).not.toContain('<img src=x');
      expect(body).not.toMatch(/=("|')[^"']*<img/);
      expect(body).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;');
    }
  });

  it('are nothing but themselves: no inline script, style or handler (CSP)', async () => {
    const { get, machines } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    for (const url of ['/', `/machines/${machine!.id}`, '/nothing']) {
      expect((await get(url)).body).not.toMatch(/<style|<script(?! src=)|\sstyle=|\son\w+=|https?:/);
    }
  });

  it('send whoever has no session to the door, and tell a script so by 401', async () => {
    const { get, post } = aWorld();
    const page = await get('/machines/m-1', {});
    expect([page.statusCode, page.headers.location]).toEqual([303, '/']);
    expect((await get('/fragments/machines', {})).statusCode).toBe(401);
    expect((await post('/machines/m-1/approve', '', SAME_ORIGIN)).headers.location).toBe('/');
  });
});

describe('the forms', () => {
  it('approve and retire a machine, on record as done on the web page, and lead back', async () => {
    const { post, machines, recorded } = aWorld();
    const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
    const approved = await post(`/machines/${machine!.id}/approve`, 'back=fleet');
    expect([approved.statusCode, approved.headers.location]).toEqual([303, '/']);
    const retired = await post(`/machines/${machine!.id}/retire`);
    expect([retired.statusCode, retired.headers.location]).toEqual([303, `/machines/${machine!.id}`]);
    expect((await recorded()).filter(({ kind }) => kind === 'machine-state')).toMatchObject([
      { details: { to: 'approved', by: 'admin (web)' } },
      { details: { to: 'retired', by: 'admin (web)' } },
    ]);
  });

  it.each([{}, { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }, { origin: 'null' }])(
    'do nothing when sent from elsewhere: %j',
    async (headers) => {
      const { post, cookie, machines } = aWorld();
      const machine = await machines.observe({ mac: aMac(), architecture: 'x64-uefi' });
      const answer = await post(`/machines/${machine!.id}/approve`, '', { cookie, ...headers });
      expect(answer.statusCode).toBe(403);
      expect(await machines.get(machine!.id)).toMatchObject({ state: 'discovered' });
    },
  );

  it('need the session: the admin token of programs does not open pages', async () => {
    const { post } = aWorld();
    expect((await post('/machines/x/approve', '', { ...AS_ADMIN, ...SAME_ORIGIN })).headers.location).toBe('/');
  });
});

describe('GET /static/', () => {
  it.each([
    ['style.css', 'text/css; charset=utf-8'],
    ['live.js', 'text/javascript; charset=utf-8'],
    ['logo.svg', 'image/svg+xml'],
  ])('serves %s, once', async (name, type) => {
    const { get } = aWorld();
    const first = await get(`/static/${name}`, {});
    expect([first.statusCode, first.headers['content-type']]).toEqual([200, type]);
    const again = await get(`/static/${name}`, { 'if-none-match': String(first.headers.etag) });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  });

  it.each(['other.css', '..%2fpage.ts', 'constructor', '__proto__', 'style.css%00'])(
    'serves nothing that is not in its table: %s',
    async (name) => {
      const { get } = aWorld();
      expect((await get(`/static/${name}`)).statusCode).toBe(404);
    },
  );
});
