// The catalogue of boot loaders (boot-assets/loaders.yaml): what each is called, where its package puts it and which
// versions were tested. Pure.
import { load, YAMLException } from 'js-yaml';
import { z } from 'zod';
import type { Architecture } from '../../boot/architecture.ts';
import { AppError } from '../../errors.ts';
import type { Digest } from '../digest.ts';

/** A loader whose bytes are in the blob store. `sizeBytes` and `digest` are of those bytes. */
export interface LoaderRecord {
  /** The file name that firmware asks for: `ipxe.efi`. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Debian package it came from. */
  readonly package: string;
  /** Version of that package, or `unknown` where the digest is not in the catalogue. */
  readonly version: string;
  readonly licence: string;
  /** Whether this very file was booted in the VM lab. */
  readonly tested: boolean;
}

const LOADER_ARCHITECTURES = ['x64-uefi', 'x86-bios', 'arm64-uefi', 'ia32-uefi'] as const satisfies Architecture[];

const catalogueSchema = z.strictObject({
  loaders: z
    .array(
      z
        .strictObject({
          name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/),
          architecture: z.enum(LOADER_ARCHITECTURES),
          file: z.string().startsWith('/'),
          package: z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/),
          licence: z.string().min(1),
          versions: z
            .array(
              z.strictObject({ version: z.string().min(1), sha256: z.string().regex(/^[0-9a-f]{64}$/) }).readonly(),
            )
            .min(1)
            .readonly(),
        })
        .readonly(),
    )
    .min(1)
    .refine((loaders) => new Set(loaders.map((loader) => loader.name)).size === loaders.length, 'names must differ')
    .readonly(),
});

export type CatalogueLoader = z.output<typeof catalogueSchema>['loaders'][number];

/** Throws AppError('missing-loader') where the text is not a catalogue. */
export function parseLoaderCatalogue(text: string): readonly CatalogueLoader[] {
  try {
    return catalogueSchema.parse(load(text, { maxAliases: 0 })).loaders;
  } catch (cause) {
    if (!(cause instanceof YAMLException || cause instanceof z.ZodError)) throw cause;
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : cause.message;
    throw new AppError('missing-loader', `The catalogue of loaders (boot-assets/loaders.yaml) is wrong:\n${reason}`, {
      cause,
    });
  }
}
