// A profile: which machines it is for, what they boot and which configuration they get. Parsed from config/profiles/*.yaml. Pure.
import { z } from 'zod';
import { parseImageReference } from '../images/image-reference.ts';

const text = z.string().min(1);
/** One or several patterns; `*` stands for any text. Any one of them has to fit. */
const patterns = z.union([text.transform((one) => [one]), z.array(text).min(1)]);

/** A word of a kernel command line: it stands in an iPXE script, so no blank, quote, `$`, `\` or `#` gets through. */
const commandLineWord = z
  .string()
  .regex(
    /^[A-Za-z0-9._:=,/@+%;~^*()[\]{}|!?<>-]+$/,
    'has a character that cannot stand in a boot script (blank, quote, $, \\ or #)',
  );

/** What a shell may take for a pattern and for nothing else. */
const DISK_PATTERN = /^[A-Za-z0-9 ._:*?-]{1,128}$/;
const DISK_PATTERN_ERROR = 'letters, digits, blanks and . _ : - alone; * and ? stand for any text and any character';

export const profileSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes'),
  description: z.string().optional(),
  /** Higher wins; among equals the one with more conditions, then the name. */
  priority: z.int().min(0).max(1_000_000).default(0),
  match: z
    .strictObject({
      mac: patterns.optional(),
      uuid: patterns.optional(),
      serial: patterns.optional(),
      architecture: patterns.optional(),
      vendor: patterns.optional(),
      product: patterns.optional(),
      subnet: patterns.optional(),
      labels: z.record(text, patterns).optional(),
    })
    .default({}),
  /** `automatic`: may join at once; `approval`: waits for a person. Without it the settings decide. */
  enrollment: z.enum(['automatic', 'approval']).optional(),
  hostname: text.optional(),
  labels: z.record(text, z.string()).default({}),
  boot: z.strictObject({
    image: z
      .string()
      .refine(
        (reference) => parseImageReference(reference) !== undefined,
        'not the name of an image: NAME, NAME:TAG, NAME@CHANNEL or NAME@sha256:…, the name in lower case, like fleet/os',
      ),
    /** What an active machine does when it asks again: its image once more, or its own disk. */
    whenActive: z.enum(['netboot', 'local-disk']).default('netboot'),
    commandLine: z.array(commandLineWord).default([]),
    /** In the place of the words by which the image's family finds its root; `{squashfs}` and `{seed}` stand for the URLs. */
    rootCommandLine: z.array(commandLineWord).optional(),
  }),
  /** Machines of this profile are installed to a disk of theirs from the image that they netboot, and boot from it then. */
  install: z
    .strictObject({
      /** Which disk: all conditions must hold, and one disk alone may fit. */
      disk: z
        .strictObject({
          minGibibytes: z.number().positive().max(1_000_000).optional(),
          maxGibibytes: z.number().positive().max(1_000_000).optional(),
          model: text.regex(DISK_PATTERN, DISK_PATTERN_ERROR).optional(),
          /** Name under /dev/disk/by-path. */
          path: text.regex(DISK_PATTERN, DISK_PATTERN_ERROR).optional(),
        })
        .default({}),
      /** Takes a disk with data on it, which is lost. */
      force: z.boolean().default(false),
      /** Of each of the two slots. */
      slotMebibytes: z.int().min(64).max(65_536).default(3072),
      /** Keeps a third copy of the image, of the day of the installation. */
      recovery: z.boolean().default(true),
      /** Folders that survive a change of the image. */
      persist: z
        .array(
          z
            .string()
            .regex(
              /^(?:\/[A-Za-z0-9._-]*[A-Za-z0-9_-])+$/,
              'an absolute path without blanks, such as /var/lib/rancher',
            ),
        )
        .max(64)
        .default([]),
      /** Units whose failure does not make a machine unhealthy. */
      ignoreUnits: z
        .array(z.string().regex(/^[A-Za-z0-9:_.@*-]{1,100}$/, 'the name of a unit'))
        .max(64)
        .default([]),
    })
    .optional(),
  /** Names of files in the cloud-config folder without `.yaml`, merged in this order. */
  cloudConfig: z.array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)).default([]),
});

export type Profile = Readonly<z.infer<typeof profileSchema>>;
