import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { load } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/settings/load-settings.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { SETTING_KEYS } from '../../src/settings/setting-keys.ts';

const ROOT = resolve(import.meta.dirname, '../..');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-settings-'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('config/muster.yaml', () => {
  it('states every key with its default', async () => {
    const stated = load(await readFile(join(ROOT, 'config/muster.yaml'), 'utf8'));
    for (const key of SETTING_KEYS) {
      const value = key.path.reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], stated);
      expect({ key: key.name, value }).toEqual({ key: key.name, value: key.standard });
    }
  });

  it('means the same as no file at all', async () => {
    const text = await readFile(join(ROOT, 'config/muster.yaml'), 'utf8');
    expect(parseSettings({ name: 'muster.yaml', text }, {})).toEqual(parseSettings({ name: 'none', text: '' }, {}));
  });
});

describe('the environment', () => {
  it.each(SETTING_KEYS.map((key) => [key.variable, key] as const))('%s reaches its key', (variable, key) => {
    const other = differentFrom(key.standard, key.name);
    const settings = parseSettings({ name: 'none', text: '' }, { [variable]: other.text });
    const value = key.path.reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], settings);
    // A choice refuses a made-up word, so its default is set again and only the way there is proven.
    expect(value).toEqual(other.value);
  });

  it('names each key by one variable', () => {
    expect(new Set(SETTING_KEYS.map((key) => key.variable)).size).toBe(SETTING_KEYS.length);
    expect(SETTING_KEYS.map((key) => key.variable)).toContain('MUSTER_DHCP_PXE_PORT');
  });
});

describe('loadSettings', () => {
  it('reads the named file relative to where the person is, and folders relative to Muster', async () => {
    await writeFile(join(folder, 'my.yaml'), 'dataDirectory: state\nprofilesDirectory: /srv/profiles\n');
    const loaded = await loadSettings({ file: 'my.yaml', ...places() });
    expect(loaded.file).toBe(join(folder, 'my.yaml'));
    expect(loaded.settings).toMatchObject({ dataDirectory: '/opt/muster/state', profilesDirectory: '/srv/profiles' });
    expect(Object.isFrozen(loaded.settings)).toBe(true);
  });

  it('takes the defaults when the standard file is missing', async () => {
    const loaded = await loadSettings(places());
    expect(loaded).toMatchObject({ file: undefined, settings: { api: { port: 8443 } } });
  });

  it('refuses a named file that is missing', async () => {
    await expect(loadSettings({ file: 'absent.yaml', ...places() })).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringContaining('there is no such settings file'),
    });
  });

  it('refuses a file that is far too large, and a folder', async () => {
    await writeFile(join(folder, 'huge.yaml'), '#'.repeat(300 * 1024));
    await expect(loadSettings({ file: 'huge.yaml', ...places() })).rejects.toMatchObject({ code: 'invalid-settings' });
    await expect(loadSettings({ file: '.', ...places() })).rejects.toMatchObject({ code: 'invalid-settings' });
  });
});

function places() {
  return { workingDirectory: folder, baseDirectory: '/opt/muster', environment: {} };
}

/** A value that is not the default, where the kind of the key alone allows to make one up. */
function differentFrom(standard: unknown, name: string): { readonly text: string; readonly value: unknown } {
  if (typeof standard === 'number') return { text: String(standard + 1), value: standard + 1 };
  if (typeof standard === 'boolean') return { text: String(!standard), value: !standard };
  if (name === 'images.upstream') {
    const [url, prefix, username] = ['https://registry.example.org', '', 'muster'];
    return { text: url, value: [{ url, prefix, username }] };
  }
  if (Array.isArray(standard)) return { text: 'one,two', value: ['one', 'two'] };
  return { text: String(standard), value: standard };
}
