// Every setting with its default and its bounds. An `error` text says what a value must be: it completes the sentence
// "this key must be …" in the messages of load-settings.ts.
import { z } from 'zod';

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

const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, { error: 'a section with keys of its own' }).readonly();

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
  http: section({ port: port(8080) }).prefault({}),
  api: section({ port: port(8443), names: words('DNS names or IP addresses') }).prefault({}),
  enrollment: section({
    unknownMachines: choice(['discover', 'enroll']).default('discover'),
    tokenMinutes: wholeNumber(1, 1440, ' of minutes').default(15),
    certificateHours: wholeNumber(1, 8760, ' of hours').default(24),
  }).prefault({}),
  boot: section({ sessionMinutes: wholeNumber(1, 1440, ' of minutes').default(30) }).prefault({}),
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
