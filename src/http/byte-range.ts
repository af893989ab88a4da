// Range requests for one representation of known size (RFC 9110 §14). Pure. Only a single range is ever served in part:
// several ranges get the whole, which the RFC allows and every boot client understands.

export type RangeDecision =
  | { readonly kind: 'whole' }
  /** Both ends inclusive, inside the representation. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const SINGLE_RANGE = /^(\d*)-(\d*)$/;

/** What a Range header asks of `sizeBytes` bytes; a malformed byte range is refused, another unit is ignored (§14.2). */
export function decideRange(header: string | undefined, sizeBytes: number): RangeDecision {
  if (header === undefined) return { kind: 'whole' };
  const [unit, ...rest] = header.split('=');
  if (unit?.trim().toLowerCase() !== 'bytes') return { kind: 'whole' };
  const specifier = rest.join('=').trim();
  if (specifier.includes(',')) return { kind: 'whole' };
  const match = SINGLE_RANGE.exec(specifier);
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (first === '' && last === '') return { kind: 'unsatisfiable' };
  if (first === '') return suffixOf(Number(last), sizeBytes);
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start >= sizeBytes || (last !== '' && Number(last) < start)) return { kind: 'unsatisfiable' };
  return { kind: 'part', start, end };
}

function suffixOf(length: number, sizeBytes: number): RangeDecision {
  if (length === 0 || sizeBytes === 0) return { kind: 'unsatisfiable' };
  return { kind: 'part', start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 };
}
