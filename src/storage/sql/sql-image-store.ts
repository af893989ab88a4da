// Images in SQL, one row for each name.
import type { Image } from '../../images/image.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { decodeJson, encodeJson } from './row-values.ts';
import type { Database, ImageRow } from './schema.ts';

export class SqlImageStore implements ImageStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(name: string): Promise<Image | undefined> {
    const row = await this.#database.selectFrom('images').selectAll().where('name', '=', name).executeTakeFirst();
    return row && imageOf(row);
  }

  async list(): Promise<readonly Image[]> {
    const rows = await this.#database.selectFrom('images').selectAll().orderBy('name').execute();
    return rows.map(imageOf);
  }

  async put(image: Image): Promise<void> {
    const row = rowOf(image);
    await this.#database
      .insertInto('images')
      .values(row)
      .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
      .execute();
  }

  async remove(name: string): Promise<boolean> {
    const { numDeletedRows } = await this.#database.deleteFrom('images').where('name', '=', name).executeTakeFirst();
    return numDeletedRows === 1n;
  }
}

function imageOf(row: ImageRow): Image {
  return {
    ...row,
    kernel: decodeJson(row.kernel),
    initrd: decodeJson(row.initrd),
    squashfs: decodeJson(row.squashfs),
    commandLine: decodeJson(row.commandLine),
  };
}

function rowOf(image: Image): ImageRow {
  return {
    name: image.name,
    family: image.family,
    kernel: encodeJson(image.kernel),
    initrd: encodeJson(image.initrd),
    squashfs: encodeJson(image.squashfs),
    commandLine: encodeJson(image.commandLine),
    createdAt: image.createdAt,
  };
}
