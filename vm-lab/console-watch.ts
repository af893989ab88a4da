// Tells from a machine's serial console that it will not come up: a message that means so, or no growth for too long.
// Pure; patterns are whole messages, since a word such as `panic` stands on every kernel command line (panic=-1).

/** Messages after which waiting is pointless, with what they mean. */
const FATAL_MESSAGES: readonly { readonly pattern: RegExp; readonly meaning: string }[] = [
  { pattern: /Kernel panic - not syncing/, meaning: 'kernel panic' },
  { pattern: /rcu: INFO: rcu_\w+ (?:self-)?detected stall/, meaning: 'RCU stall' },
  { pattern: /BUG: soft lockup/, meaning: 'soft lockup' },
  { pattern: /Initramfs unpacking failed/, meaning: 'a damaged initrd' },
  { pattern: /dracut: FATAL|Entering emergency mode|Press Enter for maintenance/, meaning: 'dracut gave up' },
  { pattern: /No bootable device|BdsDxe: No bootable option or device was found/, meaning: 'nothing to boot' },
  { pattern: /UEFI Interactive Shell/, meaning: 'firmware fell through to its shell' },
];

export type ConsoleVerdict =
  | { readonly kind: 'going' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string };

export interface ConsoleState {
  readonly text: string;
  readonly silentSeconds: number;
  readonly silenceLimitSeconds: number;
}

export function judgeConsole(state: ConsoleState): ConsoleVerdict {
  const found = FATAL_MESSAGES.find(({ pattern }) => pattern.test(state.text));
  if (found !== undefined) return { kind: 'failed', reason: `its console shows: ${found.meaning}` };
  if (state.silentSeconds > state.silenceLimitSeconds) {
    return { kind: 'silent', reason: `its console has been silent for ${Math.round(state.silentSeconds)} s` };
  }
  return { kind: 'going' };
}

/** The last lines for people: no escape sequences, no blank lines, no line written over by a carriage return. */
export function consoleTail(text: string, lines = 25): string {
  const plain = stripTerminalCodes(text)
    .split('\n')
    .map((line) => line.replace(/\r+$/, ''))
    .map((line) => line.slice(line.lastIndexOf('\r') + 1).trimEnd())
    .filter((line) => line !== '');
  return plain.slice(-lines).join('\n');
}

/** Escape sequences (ECMA-48) and the control characters that do not shape a line; neither is text. */
function stripTerminalCodes(text: string): string {
  const escape = '\\u001b(?:\\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|c)';
  const control = '[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f]';
  return text.replaceAll(new RegExp(`${escape}|${control}`, 'g'), '');
}
