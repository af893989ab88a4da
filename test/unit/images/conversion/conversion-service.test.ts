import { describe, expect, it } from 'vitest';
import { EventRecorder } from '../../../../src/events/event-recorder.ts';
import { percentOf, type ConversionProgress } from '../../../../src/images/conversion/conversion.ts';
import { ConversionService } from '../../../../src/images/conversion/conversion-service.ts';
import type { ConversionOutcome, ConvertOptions } from '../../../../src/images/conversion/image-converter.ts';
import type { ManifestRecord } from '../../../../src/images/registry/registry-store.ts';
import { createMemoryStores } from '../../../../src/storage/memory/create-memory-stores.ts';
import { aConversion, aDigest, anImage, NOON } from '../../../support/domain-builders.ts';

const READY: ConversionOutcome = { kind: 'ready', image: anImage(), manifest: aDigest('e') };

function aRecord(repository = 'fleet/os', digest = aDigest('d')): ManifestRecord {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return { repository, digest, mediaType, sizeBytes: 1, annotations: {}, references: [], createdAt: NOON };
}

/** Converts when the test says so: `finish` ends the conversion that is going on. */
class ScriptedConverter {
  isStored = () => Promise.resolve(true);
  readonly begun: string[] = [];
  readonly running: {
    finish: (outcome: ConversionOutcome) => void;
    fail: (error: Error) => void;
    options: ConvertOptions;
  }[] = [];
  isOther = false;
  reusable: ConversionOutcome | undefined;

  identify(record: ManifestRecord) {
    return Promise.resolve(this.isOther ? ({ kind: 'other' } as const) : ({ kind: 'image', record } as const));
  }

  reuse() {
    return Promise.resolve(this.reusable);
  }

  convert({ repository }: { repository: string }, options: ConvertOptions): Promise<ConversionOutcome> {
    this.begun.push(repository);
    return new Promise((finish, fail) => {
      options.signal.addEventListener('abort', () => {
        fail(new Error('aborted'));
      });
      this.running.push({ finish, fail, options });
    });
  }

  /** The conversion that is going on, once it is. */
  async current() {
    for (let turns = 0; turns < 100 && this.running.length === 0; turns += 1) await Promise.resolve();
    return this.running.shift()!;
  }
}

function aWorld() {
  const stores = createMemoryStores();
  const clock = { time: NOON, now: () => clock.time };
  const failures: unknown[] = [];
  const scheduler = { after: () => () => undefined };
  const events = new EventRecorder({
    log: stores.events,
    clock,
    scheduler,
    onFailure: (error) => failures.push(error),
  });
  const converter = new ScriptedConverter();
  const onFailure = (error: unknown) => failures.push(error);
  const service = new ConversionService({ store: stores.conversions, converter, events, clock, onFailure });
  const stored = (repository = 'fleet/os', tags = ['v1']) =>
    service.manifestStored({ kind: 'stored', record: aRecord(repository), tags });
  const kinds = async () => (await stores.events.query({ limit: 100 })).map(({ kind }) => kind);
  return { stores, clock, failures, converter, service, stored, kinds };
}

describe('ConversionService', () => {
  it('converts one image at a time, in the order of their pushes', async () => {
    const { service, converter, stored, clock } = aWorld();
    service.start();
    for (const name of ['c', 'a', 'b']) {
      await stored(name);
      clock.time += 1;
    }
    for (let round = 0; round < 3; round += 1) {
      const current = await converter.current();
      expect(converter.running).toHaveLength(0);
      current.finish(READY);
    }
    await service.idle();
    expect(converter.begun).toEqual(['c', 'a', 'b']);
    expect((await service.list()).map(({ state }) => state)).toEqual(['ready', 'ready', 'ready']);
  });

  it('leaves alone what got no tag and what is no OS image', async () => {
    const { service, converter, stored, kinds } = aWorld();
    service.start();
    await stored('fleet/os', []);
    converter.isOther = true;
    await stored('fleet/os', ['sha256-abc.sig']);
    expect(await service.request(aRecord())).toBeUndefined();
    expect([await service.list(), await kinds()]).toEqual([[], []]);
  });

  it('does not convert again what is ready, however often it is pushed or asked for', async () => {
    const { service, converter, stored } = aWorld();
    service.start();
    await stored();
    (await converter.current()).finish(READY);
    await service.idle();
    await stored('fleet/os', ['v2']);
    expect(await service.request(aRecord())).toMatchObject({ state: 'ready' });
    expect(converter.begun).toHaveLength(1);
  });

  it('takes over what another repository has of the same manifest', async () => {
    const { service, converter, stored, stores } = aWorld();
    await stores.conversions.put(
      aConversion({ repository: 'a', state: 'ready', image: anImage(), manifest: aDigest('e') }),
    );
    converter.reusable = READY;
    service.start();
    await stored('b');
    await service.idle();
    expect(await service.find('b', aDigest('d'))).toMatchObject({ state: 'ready' });
    expect(converter.begun).toEqual([]);
  });

  it('tells how far it is while it converts, and nothing before and after', async () => {
    const { service, converter, stored } = aWorld();
    service.start();
    await stored();
    const { options, finish } = await converter.current();
    const here = { repository: 'fleet/os', digest: aDigest('d') };
    const progress: ConversionProgress = { phase: 'packing', doneBytes: 20, totalBytes: 100 };
    expect(service.progress(here)).toBeUndefined();
    options.onProgress(progress);
    expect(service.progress(here)).toEqual(progress);
    expect(service.progress({ ...here, repository: 'other' })).toBeUndefined();
    finish(READY);
    await service.idle();
    expect(service.progress(here)).toBeUndefined();
  });

  it('begins again what an ended process left, and goes on with the rest', async () => {
    const { service, converter, stores } = aWorld();
    await stores.conversions.put(aConversion({ repository: 'a', state: 'converting', attempts: 1 }));
    await stores.conversions.put(aConversion({ repository: 'b' }));
    service.start();
    (await converter.current()).finish(READY);
    (await converter.current()).finish(READY);
    await service.idle();
    expect(converter.begun).toEqual(['a', 'b']);
  });

  it('gives up on an image that ended the process three times', async () => {
    const { service, converter, stores } = aWorld();
    await stores.conversions.put(aConversion({ state: 'converting', attempts: 3 }));
    service.start();
    await service.idle();
    expect(await service.list()).toMatchObject([{ state: 'refused', refusal: { code: 'interrupted-too-often' } }]);
    expect(converter.begun).toEqual([]);
  });

  it('puts back what it is told to break off, and does not count that as an attempt', async () => {
    const { service, converter, stored, failures } = aWorld();
    service.start();
    await stored();
    await converter.current();
    await service.stop();
    expect(await service.list()).toMatchObject([{ state: 'queued', attempts: 0 }]);
    expect(failures).toEqual([]);
  });

  it('refuses with the reason what fails for no fault of the image, and goes on', async () => {
    const { service, converter, stored, failures, kinds } = aWorld();
    service.start();
    await stored('a');
    await stored('b');
    (await converter.current()).fail(new Error('the disk is on fire'));
    (await converter.current()).finish(READY);
    await service.idle();
    expect(await service.find('a', aDigest('d'))).toMatchObject({
      refusal: { code: 'conversion-failed', detail: 'the disk is on fire' },
    });
    expect(failures).toHaveLength(1);
    expect(await kinds()).toEqual(['image-stored', 'image-stored', 'image-refused', 'image-ready']);
  });
});

describe('percentOf', () => {
  it('never goes back from phase to phase, and ends before 100', () => {
    const phases = ['reading layers', 'packing', 'storing'] as const;
    const percents = phases.flatMap((phase) =>
      [0, 50, 100].map((doneBytes) => percentOf({ phase, doneBytes, totalBytes: 100 })),
    );
    expect(percents).toEqual([...percents].sort((a, b) => a - b));
    expect(percents.at(-1)).toBe(99);
    expect(percentOf({ phase: 'packing', doneBytes: 5, totalBytes: 0 })).toBe(30);
  });
});
