// A cloud-config as a value: which of cloud-init's keys Muster understands well enough to check them, and the text that a
// machine gets. Unknown keys pass through untouched: cloud-init has more modules than any list. Pure.
import { DUMP_SCHEMA, dump } from 'js-yaml';
import { z } from 'zod';

const command = z.union([z.string(), z.array(z.string())], {
  error: 'must be a command as text, or a list of its words',
});

const user = z.union(
  [
    z.string(),
    z.looseObject({
      name: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/),
      ssh_authorized_keys: z.array(z.string()).optional(),
      lock_passwd: z.boolean().optional(),
    }),
  ],
  {
    error:
      'must be a user name, or a map with `name` (a-z, 0-9, - and _), with ssh_authorized_keys as a list, lock_passwd as true or false',
  },
);

const file = z.looseObject({
  path: z.string({ error: 'every file needs a `path`' }).startsWith('/', 'must be an absolute path'),
  content: z.union([z.string(), z.instanceof(Uint8Array)]).optional(),
  encoding: z.string().optional(),
  permissions: z.string({ error: "must be text in quotes, e.g. '0644': YAML reads 0644 as the number 420" }).optional(),
  owner: z.string().optional(),
  append: z.boolean().optional(),
  defer: z.boolean().optional(),
});

export const cloudConfigSchema = z.looseObject({
  hostname: z.string().optional(),
  fqdn: z.string().optional(),
  timezone: z.string().optional(),
  users: z.array(user).optional(),
  ssh_authorized_keys: z.array(z.string()).optional(),
  write_files: z.array(file).optional(),
  runcmd: z.array(command).optional(),
  bootcmd: z.array(command).optional(),
  packages: z.array(z.unknown()).optional(),
});

export type CloudConfig = z.infer<typeof cloudConfigSchema>;

/** The user-data text: the header that cloud-init looks for, then YAML in which no reader takes text for something else. */
export function renderUserData(config: CloudConfig): string {
  return `#cloud-config\n${dump(config, { schema: DUMP_SCHEMA, lineWidth: -1, noRefs: true })}`;
}

/** The meta-data text of NoCloud: instance-id is required; a new one makes cloud-init take the machine for a new one. */
export function renderMetaData(instance: { readonly instanceId: string; readonly hostname?: string }): string {
  return dump({
    'instance-id': instance.instanceId,
    ...(instance.hostname === undefined ? {} : { 'local-hostname': instance.hostname }),
  });
}

/** A file whose content is known, so that a machine can be asked to read it back. */
export interface ExpectedFile {
  readonly path: string;
  readonly content: Uint8Array;
}

/** The files that this config writes whole; the last writer of a path wins. Appended, compressed or late ones are left out. */
export function expectedFiles(config: CloudConfig): readonly ExpectedFile[] {
  const files = new Map<string, Uint8Array>();
  for (const { path, content, encoding, append, defer } of config.write_files ?? []) {
    files.delete(path);
    if (append === true || defer === true || content === undefined) continue;
    const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    if (encoding === undefined || encoding === 'text/plain') files.set(path, bytes);
    else if (encoding === 'b64' || encoding === 'base64')
      files.set(path, Buffer.from(Buffer.from(bytes).toString('latin1'), 'base64'));
  }
  return [...files].map(([path, content]) => ({ path, content }));
}
