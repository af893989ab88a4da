import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliWorld } from '../support/cli-world.ts';

let world: CliWorld;

beforeEach(async () => {
  world = await CliWorld.open();
});

afterEach(() => world[Symbol.asyncDispose]());

describe('a request that fails has exit code 1', () => {
  it('and the sentence of the server', async () => {
    const error = { code: 'not-found', message: 'There is no machine nope.' };
    world.answer('GET /machines/nope', { error }, 404);
    const { status, stdout, stderr } = await world.runProcess(['machines', 'show', 'nope']);
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: 'muster: There is no machine nope. [not-found]\n',
    });
  });

  it('and as JSON for programs', async () => {
    const error = { code: 'not-found', message: 'There is no machine nope.' };
    world.answer('GET /machines/nope', { error }, 404);
    const { stderr } = await world.run(['machines', 'show', 'nope', '--json']);
    expect(JSON.parse(stderr)).toEqual({ error });
  });

  it('and says where to get the token when the server does not take it', async () => {
    world.answer('GET /status', { error: { code: 'unauthorised', message: 'no' } }, 401);
    const { status, stderr } = await world.run(['status']);
    expect(status).toBe(1);
    expect(stderr).toContain('does not take this admin token');
    expect(stderr).toContain('MUSTER_TOKEN_FILE');
    expect(stderr).not.toContain('T0P-SECRET');
  });

  it('and says how to start the server when nobody answers', async () => {
    const { status, stderr } = await world.run(['status'], {
      ...world.environment(),
      MUSTER_URL: 'https://127.0.0.1:1',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('No Muster server answers at https://127.0.0.1:1 (ECONNREFUSED)');
    expect(stderr).toContain('npm start');
  });

  it('and does not speak to a server whose certificate another CA made', async () => {
    await using other = await CliWorld.open();
    const { status, stderr } = await world.run(['status'], { ...world.environment(), MUSTER_URL: other.url });
    expect(status).toBe(1);
    expect(stderr).toContain('shows a certificate that the CA file does not vouch for');
    expect(other.seen).toEqual([]);
  });

  it('and is plain about an answer that it does not understand', async () => {
    world.answer('GET /status', { surprise: true });
    expect((await world.run(['status'])).stderr).toContain('Are both of the same version?');
    world.answer('GET /status', (_request, response) => response.end('<html>'));
    expect((await world.run(['status'])).stderr).toContain('not JSON');
  });
});

describe('wrong usage and wrong settings have exit code 2', () => {
  it.each([
    ['an unknown command', ['machines', 'lsit'], 'Did you mean list?'],
    ['an unknown option', ['machines', 'list', '--stat', 'x'], "unknown option '--stat'"],
    ['a wrong choice', ['machines', 'list', '--state', 'x'], 'Allowed choices are discovered'],
    ['a wrong value', ['tokens', 'create', '--ttl', '5x'], 'Write a time like 90s'],
    ['a missing argument', ['machines', 'show'], "missing required argument 'ref'"],
    ['a command without its verb', ['machines'], 'Usage: muster machines'],
    ['a settings file that is not there', ['status', '--config', 'absent.yaml'], 'no such settings file'],
  ])('%s', async (_, words, expected) => {
    const environment = { MUSTER_DATA_DIRECTORY: world.scratch.path };
    const { status, stdout, stderr } = await world.run(words, environment);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(expected);
  });

  it('a data folder without a token, with the reason and the variables to set', async () => {
    const environment = { MUSTER_URL: world.url, MUSTER_DATA_DIRECTORY: '/nonexistent' };
    const { status, stderr } = await world.run(['status'], environment);
    expect(status).toBe(2);
    expect(stderr).toContain('The admin token is not at /nonexistent/admin-token.');
    expect(stderr).toContain('MUSTER_TOKEN');
  });

  it('a URL that is none', async () => {
    const { status, stderr } = await world.run(['status'], { ...world.environment(), MUSTER_URL: '192.0.2.1' });
    expect(status).toBe(2);
    expect(stderr).toContain('MUSTER_URL is "192.0.2.1"');
  });
});

describe('where the server is', () => {
  it('needs no settings when the environment says it all', async () => {
    world.answer('GET /images', { images: [] });
    const environment = {
      MUSTER_URL: `${world.url}/`,
      MUSTER_TOKEN: 'other',
      MUSTER_CA_FILE: 'ca.pem',
      MUSTER_CONFIG: '/nonexistent/muster.yaml',
    };
    const { status } = await world.run(['images', 'list'], environment);
    expect(status).toBe(0);
    expect(world.seen[0]?.authorization).toBe('Bearer other');
  });

  it('takes the token from the file that MUSTER_TOKEN_FILE names', async () => {
    world.answer('GET /images', { images: [] });
    await world.scratch.write('my-token', ' from-file \n');
    await world.run(['images', 'list'], { ...world.environment(), MUSTER_TOKEN_FILE: 'my-token' });
    expect(world.seen[0]?.authorization).toBe('Bearer from-file');
  });
});

describe('muster --help and --version', () => {
  it('print to standard output and end well', async () => {
    const help = await world.runProcess(['--help'], {});
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('run the server until Ctrl+C');
    expect(await world.runProcess(['--version'], {})).toEqual({ status: 0, stdout: '0.1.0\n', stderr: '' });
  });
});

describe('muster config check', () => {
  it('passes the settings, profiles and cloud-config that come with Muster', async () => {
    const { status, stdout, stderr } = await world.run(['config', 'check'], {});
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/✓ settings .*config\/muster\.yaml\n.*✓ profiles .*\n.*✓ cloud-config/);
  });

  it('says everything that is wrong', async () => {
    await world.scratch.write('m.yaml', 'prot: 1\nhttp: { port: x }\n');
    const { status, stderr } = await world.run(['config', 'check', '--config', 'm.yaml'], {});
    expect(status).toBe(2);
    expect(stderr).toContain('http.port is "x"');
    expect(stderr).toContain('prot is not a setting');
  });
});
