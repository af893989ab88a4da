// Every setting with its default and its bounds. An `error` text says what a value must be: it completes the sentence
// "this key must be …" in the messages of load-settings.ts.
import { z } from 'zod';
import { CHANNEL_PATTERN, IMAGE_NAME_PATTERN } from '../images/image-reference.ts';

const GIB = 1024 ** 3;

const wholeNumber = (least: number, most: number, unit = '') => {
  const error = `a whole number${unit} from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const port = (standard: number) =>
  z
    .int({ error: 'a port number from 1 to 65535 (0 takes any free one)' })
    .min(0, { error: 'a port number from 1 to 65535 (0 takes any free one)' })
    .max(65535, { error: 'a port number from 1 to 65535 (0 takes any free one)' })
    .default(standard);

const choice = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `one of ${words.join(', ')}` });

const flag = z.boolean({ error: 'true or false' });

const folder = z.string({ error: 'the path of a folder' }).min(1, { error: 'the path of a folder' });

const words = (what: string) => {
  const error = `a list of ${what}`;
  return z.array(z.string({ error }).min(1, { error }), { error }).max(64, { error }).readonly().prefault([]);
};

const file = z.string({ error: 'the path of a file' }).min(1, { error: 'the path of a file' });

const textThat = (fits: RegExp, error: string) => z.string({ error }).refine((text) => fits.test(text), { error });

/** Nothing behind the path: what is fetched is put there. */
const URL_PATTERN = /^https?:\/\/[A-Za-z0-9.:[\]-]+(?:\/[A-Za-z0-9._~-]+)*$/;

const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, { error: 'a section with keys of its own' }).readonly();

/** A registry that images are fetched from; its URL alone will do. */
const upstream = z.preprocess(
  (value) => (typeof value === 'string' ? { url: value } : value),
  section({
    url: textThat(
      URL_PATTERN,
      'the URL of a registry without a slash at its end, such as https://registry.example.org',
    ),
    prefix: textThat(new RegExp(`^$|${IMAGE_NAME_PATTERN.source}`), 'empty or how names begin, such as hub').default(
      '',
    ),
    username: textThat(/^[^:]+$/, 'a user name').default('muster'),
    passwordFile: file.optional(),
    caFile: file.optional(),
  }),
);

export const settingsSchema = section({
  dataDirectory: folder.default('data'),
  interfaces: words('network interface names'),
  dhcp: section({
    mode: choice(['proxy', 'off']).default('proxy'),
    port: port(67),
    pxePort: port(4011),
    uefiStrategy: choice(['4011', 'direct']).default('4011'),
  }).prefault({}),
  tftp: section({
    enabled: flag.default(true),
    port: port(69),
    maxSessions: wholeNumber(1, 10_000).default(256),
    maxSessionsPerClient: wholeNumber(1, 1000).default(4),
  }).prefault({}),
  http: section({
    port: port(8080),
    artifactsUrl: textThat(
      new RegExp(`^$|${URL_PATTERN.source}`),
      'empty or the URL of a cache without a slash at its end, such as http://cache.example.org',
    ).default(''),
  }).prefault({}),
  api: section({ port: port(8443), names: words('DNS names or IP addresses') }).prefault({}),
  enrollment: section({
    unknownMachines: choice(['discover', 'enroll']).default('discover'),
    tokenMinutes: wholeNumber(1, 1440, ' of minutes').default(15),
    certificateHours: wholeNumber(1, 8760, ' of hours').default(24),
  }).prefault({}),
  images: section({
    keys: words('files with public keys'),
    require: words('names of keys'),
    channels: z
      .record(
        z.string().regex(CHANNEL_PATTERN, { error: 'the name of a channel: lower-case letters, digits and dashes' }),
        section({ require: words('names of keys') }),
        { error: 'a section with a key for each channel' },
      )
      .readonly()
      .prefault({}),
    upstream: z
      .array(upstream, { error: 'a list of registries' })
      .max(16, { error: 'a list of 16 registries at most' })
      .readonly()
      .prefault([]),
    verifyRoot: choice(['when-possible', 'required', 'off']).default('when-possible'),
    imgverify: flag.default(false),
  }).prefault({}),
  boot: section({ sessionMinutes: wholeNumber(1, 1440, ' of minutes').default(30) }).prefault({}),
  upgrades: section({
    releaseKeys: words('files with public keys'),
    operatorKeys: words('files with public keys'),
    allowUnsigned: flag.default(false),
    trialSeconds: wholeNumber(60, 7200, ' of seconds').default(600),
    rateBytesPerSecond: wholeNumber(0, 100 * GIB, ' of bytes').default(0),
    offlineSeconds: wholeNumber(30, 86_400, ' of seconds').default(180),
    tickMilliseconds: wholeNumber(50, 60_000, ' of milliseconds').default(1000),
  }).prefault({}),
  agent: section({ heartbeatSeconds: wholeNumber(1, 3600, ' of seconds').default(30) }).prefault({}),
  profilesDirectory: folder.default('config/profiles'),
  cloudConfigDirectory: folder.default('config/cloud-config'),
  limits: section({
    machines: wholeNumber(1, 1_000_000).default(10_000),
    events: wholeNumber(1000, 100_000_000).default(200_000),
    blobBytes: wholeNumber(1024 ** 2, 1024 * GIB, ' of bytes').default(16 * GIB),
  }).prefault({}),
  log: section({
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    format: choice(['auto', 'pretty', 'json']).default('auto'),
  }).prefault({}),
});

/** Frozen. The folders are absolute once loaded. */
export type Settings = z.output<typeof settingsSchema>;
