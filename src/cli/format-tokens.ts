// Enrollment tokens for people. Pure. The signed text is never in here: only the answer to its making holds it.
import type { TokenAnswer } from './api-answers.ts';
import { formatAge } from './format-quantities.ts';
import { formatTable, type TableLayout } from './format-table.ts';
import { printable, type Style } from './style.ts';

export function formatTokens(tokens: readonly TokenAnswer[], now: number, layout: TableLayout): string {
  if (tokens.length === 0) return '  No tokens are open. Make one: muster tokens create\n';
  const rows = tokens.map((token) => [
    token.id,
    `${token.uses}/${token.maxUses}`,
    endOf(token, now, layout.style),
    printable(bondsOf(token)),
    token.profile ?? '–',
    printable(labelsOf(token)),
    printable([token.note, `by ${token.createdBy}`].filter((part) => part !== undefined).join(', ')),
  ]);
  return formatTable(['id', 'uses', 'ends', 'only for', 'profile', 'labels', 'note'], rows, layout);
}

/** One line about a token that was just made or revoked. */
export function formatTokenRemark(token: TokenAnswer, now: number, style: Style): string {
  const bonds = bondsOf(token);
  return `  ${style.strong(token.id)}  ${endOf(token, now, style)}, ${token.uses} of ${token.maxUses} uses, ${bonds === '–' ? 'for any machine' : `only for ${printable(bonds)}`}\n`;
}

function endOf(token: TokenAnswer, now: number, style: Style): string {
  if (token.revokedAt !== undefined) return style.bad('revoked');
  if (token.expiresAt <= now) return style.faint(`ended ${formatAge(token.expiresAt, now)}`);
  if (token.uses >= token.maxUses) return style.faint('used up');
  return style.good(`ends ${formatAge(token.expiresAt, now)}`);
}

function bondsOf(token: TokenAnswer): string {
  return [token.mac, token.uuid, token.serial].filter((bond) => bond !== undefined).join(' ') || '–';
}

function labelsOf(token: TokenAnswer): string {
  return (
    Object.entries(token.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(' ') || '–'
  );
}
