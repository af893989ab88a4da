// The part of the composition root that belongs to rollouts: who decides, what machines are told, and the keys they learn.
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Clock, RandomSource, Scheduler } from './clock.ts';
import { loadTrustedKeys } from './crypto/image-keys.ts';
import { AppError } from './errors.ts';
import type { EventRecorder } from './events/event-recorder.ts';
import type { BlobStore } from './images/blob-store.ts';
import type { ImageCatalogue } from './images/image-catalogue.ts';
import { StoredSignatures } from './images/trust/signature-stored-source.ts';
import { findSignatures } from './images/trust/signature-finder.ts';
import type { MachineService } from './machines/machine-service.ts';
import { AgentOrders, type ReleaseSignature } from './rollouts/agent-orders.ts';
import type { RolloutImage } from './rollouts/rollout.ts';
import { RolloutService } from './rollouts/rollout-service.ts';
import type { Settings } from './settings/schema.ts';
import type { Stores } from './storage/stores.ts';

interface RolloutParts {
  readonly settings: Settings;
  readonly stores: Stores;
  readonly images: Pick<ImageCatalogue, 'resolve'>;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: RandomSource;
  readonly logger: Logger;
}

/** What a rollout of this image is about, as it stands now. */
async function imageOf(reference: string, { images, stores }: RolloutParts): Promise<RolloutImage> {
  const resolution = await images.resolve(reference);
  if (resolution.kind === 'none')
    throw new AppError('invalid-request', `image: ${resolution.reason}.\nFix: ${resolution.hint}`);
  const { image } = resolution;
  const conversion = await stores.conversions.find(image.name, image.digest);
  if (conversion?.state !== 'ready') throw new AppError('conflict', `image: ${reference} was removed a moment ago.`);
  const { version, requiresVersion } = image;
  return {
    repository: image.name,
    digest: image.digest,
    bootDigest: conversion.manifest,
    sizeBytes: image.kernel.sizeBytes + image.initrd.sizeBytes + image.squashfs.sizeBytes,
    ...(version !== undefined && { version }),
    ...(requiresVersion !== undefined && { requiresVersion }),
  };
}

export async function openRollouts(parts: RolloutParts): Promise<RolloutService> {
  const { settings, stores, events, clock, scheduler, random } = parts;
  const logger = parts.logger.child({ component: 'rollouts' });
  return new RolloutService({
    ...{ events, clock, scheduler, random },
    store: stores.rollouts,
    machines: stores.machines,
    imageOf: (reference) => imageOf(reference, parts),
    operatorKeys: await keysIn(settings.upgrades.operatorKeys),
    onFailure: (error, rollout) => {
      logger.error({ err: error, rollout }, 'a rollout could not be looked at');
    },
    settings: { ...settings.upgrades, maxMachines: settings.limits.machines },
  });
}

interface OrderParts {
  readonly settings: Settings;
  readonly stores: Stores;
  readonly blobs: BlobStore;
  readonly machines: MachineService;
  readonly rollouts: RolloutService;
  readonly httpPort: () => number;
}

export async function openOrders({
  settings,
  stores,
  blobs,
  machines,
  rollouts,
  httpPort,
}: OrderParts): Promise<AgentOrders> {
  const { upgrades } = settings;
  const source = new StoredSignatures(stores.registry, blobs);
  const keys = await keysIn(upgrades.releaseKeys);
  const { conversions } = stores;
  return new AgentOrders({
    ...{ conversions, blobs },
    rolloutOrder: (machine) => rollouts.loop.orderOf(machine),
    profileOf: (machine) => machines.profileOf(machine),
    releaseSignatures: async (repository, digest) => {
      const found = await findSignatures(source, { repository, digest }, keys);
      const valid = found.filter(({ verdict }) => verdict.kind === 'valid');
      const read = valid.map(async ({ payload, signature }): Promise<readonly ReleaseSignature[]> => {
        const bytes = await source.readBlob(repository, payload);
        return bytes === undefined ? [] : [{ payload: bytes, signature }];
      });
      return (await Promise.all(read)).flat();
    },
    settings: {
      ...{ trialSeconds: upgrades.trialSeconds, rateBytesPerSecond: upgrades.rateBytesPerSecond },
      allowUnsigned: upgrades.allowUnsigned,
      releaseKeys: await pemsOf(upgrades.releaseKeys),
      operatorKeys: await pemsOf(upgrades.operatorKeys),
      artifactsUrl: settings.http.artifactsUrl,
      httpPort,
    },
  });
}

function keysIn(files: readonly string[]): ReturnType<typeof loadTrustedKeys> {
  return loadTrustedKeys({ keys: files, require: [], channels: {} });
}

/** As OpenSSL writes them, whatever else stood in the file. The files were checked before. */
function pemsOf(files: readonly string[]): Promise<readonly string[]> {
  return Promise.all(
    files.map(async (file) =>
      createPublicKey(await readFile(file, 'utf8'))
        .export({ type: 'spki', format: 'pem' })
        .toString(),
    ),
  );
}
