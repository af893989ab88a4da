// The steps from an empty database to today's tables. A released step is never changed: a new need is a new step at the end.
// Each runs in a transaction of its own together with the note that it ran, so a crash leaves none half done.
import { AppError } from '../../errors.ts';
import type { Database } from './schema.ts';

interface Migration {
  readonly name: string;
  readonly up: (database: Database) => Promise<void>;
}

/** The place in the list, from 1, is the version. */
const MIGRATIONS: readonly Migration[] = [
  { name: 'machines', up: createMachines },
  { name: 'events', up: createEvents },
  { name: 'boot-sessions', up: createBootSessions },
  { name: 'enrollment', up: createEnrollment },
  { name: 'images', up: createImages },
  { name: 'registry', up: createRegistry },
  { name: 'channels', up: createChannels },
  { name: 'conversions', up: createConversions },
  { name: 'rollouts', up: createRollouts },
];

/** Runs the steps that are missing. AppError 'storage-failure' where the database knows steps that this program does not. */
export async function migrate(database: Database): Promise<void> {
  await database.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('version', 'integer', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .execute();
  await refuseNewer(database);
  for (const [index, migration] of MIGRATIONS.entries()) await runOnce(database, index + 1, migration);
}

async function refuseNewer(database: Database): Promise<void> {
  const { version } = await database
    .selectFrom('schemaMigrations')
    .select((expression) => expression.fn.max<number | null>('version').as('version'))
    .executeTakeFirstOrThrow();
  if (version === null || version <= MIGRATIONS.length) return;
  throw new AppError(
    'storage-failure',
    `The database has schema version ${version}, this program knows ${MIGRATIONS.length}: it was written by a newer Muster. ` +
      'Run that version, or restore the data folder from before the upgrade.',
  );
}

/** The note comes first: of two processes that start together one waits here for the other, and then has nothing to do. */
async function runOnce(database: Database, version: number, migration: Migration): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    const note = await transaction
      .insertInto('schemaMigrations')
      .values({ version, name: migration.name })
      .onConflict((conflict) => conflict.column('version').doNothing())
      .executeTakeFirst();
    if (note.numInsertedOrUpdatedRows === 1n) await migration.up(transaction);
  });
}

async function createMachines({ schema }: Database): Promise<void> {
  await schema
    .createTable('machines')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('macs', 'text', (column) => column.notNull())
    .addColumn('uuid', 'text')
    .addColumn('serial', 'text')
    .addColumn('hostname', 'text')
    .addColumn('architecture', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('state_reason', 'text', (column) => column.notNull())
    .addColumn('state_since', 'bigint', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('facts', 'text', (column) => column.notNull())
    .addColumn('profile', 'text')
    .addColumn('image', 'text')
    .addColumn('address', 'text')
    .addColumn('certificate_serial', 'text')
    .addColumn('config_digest', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('last_seen_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .execute();
  await schema.createIndex('machines_by_uuid').on('machines').column('uuid').execute();
  await schema.createIndex('machines_by_activity').on('machines').column('last_seen_at').execute();
  await schema.createIndex('machines_by_state').on('machines').columns(['state', 'last_seen_at']).execute();
  await schema
    .createTable('machine_macs')
    .addColumn('mac', 'text', (column) => column.primaryKey())
    .addColumn('machine_id', 'text', (column) => column.notNull().references('machines.id').onDelete('cascade'))
    .execute();
  await schema.createIndex('machine_macs_by_machine').on('machine_macs').column('machine_id').execute();
}

async function createEvents(database: Database): Promise<void> {
  const { schema } = database;
  await schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .execute();
  await database.insertInto('counters').values({ name: 'event-seq', value: 0 }).execute();
  await schema
    .createTable('events')
    .addColumn('seq', 'bigint', (column) => column.primaryKey())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('machine_id', 'text')
    .addColumn('mac', 'text')
    .addColumn('session_id', 'text')
    .addColumn('event', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('events_by_machine').on('events').columns(['machine_id', 'seq']).execute();
  await schema.createIndex('events_by_mac').on('events').columns(['mac', 'seq']).execute();
  await schema.createIndex('events_by_session').on('events').columns(['session_id', 'seq']).execute();
  await schema.createIndex('events_by_kind').on('events').columns(['kind', 'seq']).execute();
}

async function createBootSessions({ schema }: Database): Promise<void> {
  await schema
    .createTable('boot_sessions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('machine_id', 'text', (column) => column.notNull())
    .addColumn('ordinal', 'integer', (column) => column.notNull())
    .addColumn('mac', 'text', (column) => column.notNull())
    .addColumn('architecture', 'text', (column) => column.notNull())
    .addColumn('server_address', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('script_served_at', 'bigint')
    .addColumn('image', 'text')
    .addColumn('profile', 'text')
    .execute();
  await schema.createIndex('boot_sessions_by_machine').on('boot_sessions').columns(['machine_id', 'ordinal']).execute();
  await schema.createIndex('boot_sessions_by_end').on('boot_sessions').column('expires_at').execute();
  await schema
    .createTable('boot_session_tokens')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('session_id', 'text', (column) => column.notNull().references('boot_sessions.id').onDelete('cascade'))
    .addColumn('capability', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('boot_session_tokens_by_session').on('boot_session_tokens').column('session_id').execute();
  await schema
    .createTable('boot_session_fetches')
    .addColumn('session_id', 'text', (column) => column.notNull().references('boot_sessions.id').onDelete('cascade'))
    .addColumn('resource', 'text', (column) => column.notNull())
    .addColumn('fetches', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('boot_session_fetches_key', ['session_id', 'resource'])
    .execute();
}

async function createEnrollment({ schema }: Database): Promise<void> {
  await schema
    .createTable('enrollment_tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('not_before', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('max_uses', 'integer', (column) => column.notNull())
    .addColumn('uses', 'integer', (column) => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .addColumn('note', 'text')
    .addColumn('mac', 'text')
    .addColumn('uuid', 'text')
    .addColumn('serial', 'text')
    .addColumn('profile', 'text')
    .addColumn('labels', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('enrollment_tokens_by_age').on('enrollment_tokens').column('created_at').execute();
  await schema
    .createTable('certificates')
    .addColumn('serial', 'text', (column) => column.primaryKey())
    .addColumn('machine_id', 'text', (column) => column.notNull())
    .addColumn('key_fingerprint', 'text', (column) => column.notNull())
    .addColumn('pem', 'text', (column) => column.notNull())
    .addColumn('not_before', 'bigint', (column) => column.notNull())
    .addColumn('not_after', 'bigint', (column) => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .execute();
  await schema.createIndex('certificates_by_machine').on('certificates').column('machine_id').execute();
  await schema
    .createTable('redemptions')
    .addColumn('token_id', 'text', (column) => column.notNull().references('enrollment_tokens.id'))
    .addColumn('key_fingerprint', 'text', (column) => column.notNull())
    .addColumn('certificate_serial', 'text', (column) => column.notNull().references('certificates.serial'))
    .addColumn('redeemed_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('redemptions_key', ['token_id', 'key_fingerprint'])
    .execute();
}

async function createImages({ schema }: Database): Promise<void> {
  await schema
    .createTable('images')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('family', 'text', (column) => column.notNull())
    .addColumn('kernel', 'text', (column) => column.notNull())
    .addColumn('initrd', 'text', (column) => column.notNull())
    .addColumn('squashfs', 'text', (column) => column.notNull())
    .addColumn('command_line', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
}

async function createChannels({ schema }: Database): Promise<void> {
  await schema
    .createTable('channel_moves')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('channel', 'text', (column) => column.notNull())
    .addColumn('number', 'integer', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('release', 'integer', (column) => column.notNull())
    .addColumn('before_release', 'integer')
    .addColumn('before_digest', 'text')
    .addColumn('reference', 'text', (column) => column.notNull())
    .addColumn('by', 'text', (column) => column.notNull())
    .addColumn('note', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('channel_moves_key', ['repository', 'channel', 'number'])
    .execute();
}

async function createRegistry({ schema }: Database): Promise<void> {
  await schema
    .createTable('registry_manifests')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('artifact_type', 'text')
    .addColumn('size_bytes', 'bigint', (column) => column.notNull())
    .addColumn('subject', 'text')
    .addColumn('annotations', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('touched_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('registry_manifests_key', ['repository', 'digest'])
    .execute();
  await schema.createIndex('registry_manifests_by_digest').on('registry_manifests').column('digest').execute();
  await schema
    .createIndex('registry_manifests_by_subject')
    .on('registry_manifests')
    .columns(['subject', 'repository'])
    .execute();
  await schema.createIndex('registry_manifests_by_touch').on('registry_manifests').column('touched_at').execute();
  await schema
    .createTable('registry_references')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('child', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('registry_references_key', ['repository', 'digest', 'position'])
    .addForeignKeyConstraint(
      'registry_references_manifest',
      ['repository', 'digest'],
      'registry_manifests',
      ['repository', 'digest'],
      (constraint) => constraint.onDelete('cascade'),
    )
    .execute();
  await schema.createIndex('registry_references_by_digest').on('registry_references').column('digest').execute();
  await schema
    .createIndex('registry_references_by_child')
    .on('registry_references')
    .columns(['child', 'repository'])
    .execute();
  await schema
    .createTable('registry_tags')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('tag', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('registry_tags_key', ['repository', 'tag'])
    .addForeignKeyConstraint(
      'registry_tags_manifest',
      ['repository', 'digest'],
      'registry_manifests',
      ['repository', 'digest'],
      (constraint) => constraint.onDelete('cascade'),
    )
    .execute();
  await schema.createIndex('registry_tags_by_manifest').on('registry_tags').columns(['repository', 'digest']).execute();
  await schema
    .createTable('registry_blobs')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('linked_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('registry_blobs_key', ['repository', 'digest'])
    .execute();
  await schema.createIndex('registry_blobs_by_digest').on('registry_blobs').column('digest').execute();
  await schema.createIndex('registry_blobs_by_link').on('registry_blobs').column('linked_at').execute();
}

/** What a machine boots is in the registry now; the table of names for three files goes. */
async function createConversions({ schema }: Database): Promise<void> {
  await schema.dropTable('images').execute();
  await schema
    .createTable('conversions')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('queued_at', 'bigint', (column) => column.notNull())
    .addColumn('changed_at', 'bigint', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('code', 'text')
    .addColumn('detail', 'text')
    .addColumn('image', 'text')
    .addColumn('manifest', 'text')
    .addPrimaryKeyConstraint('conversions_key', ['repository', 'digest'])
    .execute();
  await schema.createIndex('conversions_by_state').on('conversions').columns(['state', 'queued_at']).execute();
  await schema.createIndex('conversions_by_digest').on('conversions').column('digest').execute();
}

async function createRollouts({ schema }: Database): Promise<void> {
  await schema.alterTable('machines').addColumn('running', 'text').execute();
  await schema.alterTable('machines').addColumn('installed_at', 'bigint').execute();
  await schema
    .createTable('rollouts')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .execute();
  await schema.createIndex('rollouts_by_state').on('rollouts').columns(['state', 'created_at']).execute();
  await schema
    .createTable('rollout_members')
    .addColumn('rollout_id', 'text', (column) => column.notNull())
    .addColumn('machine_id', 'text', (column) => column.notNull())
    .addColumn('place', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('rollout_members_key', ['rollout_id', 'machine_id'])
    .execute();
  await schema.createIndex('rollout_members_by_machine').on('rollout_members').column('machine_id').execute();
  await schema.createIndex('rollout_members_by_state').on('rollout_members').column('state').execute();
  await schema
    .createTable('rollout_pins')
    .addColumn('machine_id', 'text', (column) => column.primaryKey())
    .addColumn('note', 'text', (column) => column.notNull())
    .addColumn('by', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createTable('rollout_freezes')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('ends_at', 'bigint', (column) => column.notNull())
    .addColumn('document', 'text', (column) => column.notNull())
    .execute();
}
