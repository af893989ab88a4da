// A number of machines, or a share of them, with one rounding for each use. Pure, in integers alone.
import { AppError } from '../errors.ts';

/** `5` or, in basis points, `5 %`. */
export type Share =
  { readonly kind: 'count'; readonly count: number } | { readonly kind: 'share'; readonly basisPoints: number };

const WHOLE = 10_000;

/** `5`, `10%` or, with at most two decimals, `2.5%`. `name` is what the message calls the value. */
export function parseShare(text: string, name = 'share'): Share {
  const [, whole, decimals = '', percent] = /^(\d{1,9})(?:\.(\d{1,2}))?(\s?%)?$/.exec(text.trim()) ?? [];
  if (whole === undefined || (percent === undefined && decimals !== ''))
    throw new AppError(
      'invalid-request',
      `${name} '${text}': write a number of machines like 5, or a share like 2.5%.`,
    );
  if (percent === undefined) return { kind: 'count', count: Number(whole) };
  const basisPoints = Number(whole) * 100 + Number(decimals.padEnd(2, '0'));
  if (basisPoints > WHOLE)
    throw new AppError('invalid-request', `${name} '${text}': a share is at most 100%; write 100%.`);
  return { kind: 'share', basisPoints };
}

/** `5`, `10%`, `2.5%`: parseShare reads it back. */
export function formatShare(share: Share): string {
  if (share.kind === 'count') return String(share.count);
  const decimals = String(share.basisPoints % 100).padStart(2, '0');
  return `${Math.floor(share.basisPoints / 100)}${`.${decimals}`.replace(/\.?0+$/, '')}%`;
}

/** So many of `total` machines, never more than there are. */
export function countOf(share: Share, total: number, rounding: 'ceil' | 'floor'): number {
  if (share.kind === 'count') return Math.min(share.count, total);
  const product = share.basisPoints * total;
  const rest = product % WHOLE;
  return (product - rest) / WHOLE + (rounding === 'ceil' && rest > 0 ? 1 : 0);
}

/** How many may be under way at once: rounded down, but one always may, or nothing would ever happen. */
export function unavailableLimit(share: Share, memberCount: number): number {
  return Math.max(1, countOf(share, memberCount, 'floor'));
}
