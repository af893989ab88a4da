// How values of the domain stand in columns: what may be absent is NULL, lists and maps are JSON text. The only place in
// storage/sql that trusts a type: each column is read as what the same column was written as.

/** JSON text of a T. */
export type Json<T> = string & { readonly __content: T };

export function encodeJson<T>(value: T): Json<T> {
  return JSON.stringify(value) as Json<T>;
}

export function decodeJson<T>(text: Json<T>): T {
  return JSON.parse(text) as T;
}

type NullableKeys<Row> = { [Key in keyof Row]: null extends Row[Key] ? Key : never }[keyof Row];
type WithoutNulls<Row> = Omit<Row, NullableKeys<Row>> & { [Key in NullableKeys<Row>]?: NonNullable<Row[Key]> };

/** The row without its NULL columns: domain types know absent properties, no nulls. */
export function withoutNulls<Row extends object>(row: Row): WithoutNulls<Row> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)) as WithoutNulls<Row>;
}
