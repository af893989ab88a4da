// Rollouts over HTTP: what people write is understood or refused with its reason, and every step answers with what came of it.
import { beforeEach, describe, expect, it } from 'vitest';
import { aDigest, aMac, aMachine, aMachineId } from '../../support/domain-builders.ts';
import { ADMIN_TOKEN, anHttpWorld } from './http-world.ts';

const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
const SPEC = { image: 'fleet/os:2', to: 'group=edge' };

let world: ReturnType<typeof anHttpWorld>;
beforeEach(async () => {
  world = anHttpWorld();
  for (const [index, group] of ['edge', 'edge', 'lab'].entries())
    await world.stores.machines.insert(
      aMachine({
        ...{ id: aMachineId(`m-${index}`), macs: [aMac(index + 1)], hostname: `node-${index}`, state: 'active' },
        labels: { group },
        running: { image: aDigest('a'), source: 'network', bootId: '1', since: 0 },
      }),
    );
});

describe('making a rollout', () => {
  it('answers with the draft and with what it would do', async () => {
    const answer = await post('/rollouts', { ...SPEC, waves: '1,100%' });
    expect(answer.statusCode).toBe(201);
    expect(answer.json()).toMatchObject({
      rollout: { state: 'draft', memberCount: 2, spec: { maxUnavailable: { kind: 'share', basisPoints: 500 } } },
      preview: { waves: [{ machines: ['node-0'] }, { machines: ['node-1'] }], totalBytes: 200_000_000 },
    });
  });

  it.each([
    ['an image that is not there', { ...SPEC, image: 'fleet/os:9' }, 'image: there is no fleet/os:9'],
    ['a selector that is none', { ...SPEC, to: 'edge' }, "selector 'edge'"],
    ['a selector that fits nobody', { ...SPEC, to: 'group=none' }, 'no machine fits'],
    ['waves that leave machines out', { ...SPEC, waves: '1,50%' }, 'end with 100%'],
    ['a share that is none', { ...SPEC, maxFailures: 'few' }, "max-failures 'few'"],
    ['a window without a zone', { ...SPEC, window: 'Sat 01:00-05:00' }, 'it names no time zone'],
    ['a key that is unknown', { ...SPEC, speed: 'high' }, 'speed'],
  ])('refuses %s, and names it', async (_, body, reason) => {
    const answer = await post('/rollouts', body);
    expect(answer.statusCode).toBe(400);
    expect(answer.body).toContain(reason);
  });
});

describe('a rollout', () => {
  it('goes through its states on command', async () => {
    const { rollout } = (await post('/rollouts', SPEC)).json<{ rollout: { id: string } }>();
    const states: string[] = [];
    for (const verb of ['approve', 'pause', 'resume', 'abort']) {
      const answer = await post(`/rollouts/${rollout.id}/${verb}`, {});
      states.push(answer.json<{ rollout: { state: string } }>().rollout.state);
    }
    expect(states).toEqual(['running', 'paused', 'running', 'aborted']);
    expect((await post(`/rollouts/${rollout.id}/approve`, {})).statusCode).toBe(409);
  });

  it('shows its members by name, and the text that operators sign', async () => {
    const { rollout } = (await post('/rollouts', SPEC)).json<{ rollout: { id: string } }>();
    const shown = await get(`/rollouts/${rollout.id}`);
    expect(shown.json()).toMatchObject({
      members: [{ name: 'node-0', state: 'waiting' }, { name: 'node-1' }],
      waitingFor: 'an operator has to approve it',
    });
    const { document } = (await get(`/rollouts/${rollout.id}/document`)).json<{ document: string }>();
    expect(document).toMatch(/^muster-rollout-v1\nrollout=r-[0-9a-f]+\nrepository=fleet\/os\nimage=sha256:/);
    expect((await get('/rollouts')).json()).toMatchObject({ rollouts: [{ id: rollout.id }] });
  });

  it('is not there where the id is unknown, and refused where it is none', async () => {
    expect((await get('/rollouts/r-00')).statusCode).toBe(404);
    expect((await get('/rollouts/everything')).statusCode).toBe(400);
  });

  it('is for administrators alone', async () => {
    expect((await world.api.inject({ method: 'GET', url: '/api/v1/rollouts' })).statusCode).toBe(401);
  });
});

describe('what holds a machine', () => {
  it('is told, a pin among it', async () => {
    const { rollout } = (await post('/rollouts', SPEC)).json<{ rollout: { id: string } }>();
    expect((await inject('PUT', '/machines/node-0/pin', { note: 'in use' })).statusCode).toBe(200);
    await post(`/rollouts/${rollout.id}/approve`, {});
    const why = await get('/machines/node-0/rollouts');
    expect(why.json<{ rollouts: { holds: { rule: string }[] }[] }>().rollouts[0]?.holds).toContainEqual(
      expect.objectContaining({ rule: 'pin' }),
    );
    expect((await inject('DELETE', '/machines/node-0/pin')).statusCode).toBe(200);
    expect((await inject('DELETE', '/machines/node-0/pin')).statusCode).toBe(404);
  });

  it('may be a freeze, which has an end and labels with one value', async () => {
    const until = world.clock.now() + 60_000;
    const made = await post('/freezes', { to: 'group=edge', until, note: 'sale' });
    expect(made.statusCode).toBe(201);
    const { freeze } = made.json<{ freeze: { id: string } }>();
    expect((await get('/freezes')).json()).toMatchObject({ freezes: [{ id: freeze.id, labels: { group: 'edge' } }] });
    expect((await inject('DELETE', `/freezes/${freeze.id}`)).statusCode).toBe(204);
    expect((await post('/freezes', { to: 'group=a|b', until, note: 'x' })).body).toContain('one value for group');
    expect((await post('/freezes', { to: '*', until: 1, note: 'x' })).body).toContain('would end before it begins');
  });
});

function post(path: string, body: object) {
  return inject('POST', path, body);
}

function get(path: string) {
  return inject('GET', path);
}

function inject(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, payload?: object) {
  return world.api.inject({ method, url: `/api/v1${path}`, headers, ...(payload !== undefined && { payload }) });
}
