// Colours of the command line, and what makes text from elsewhere safe to print. Pure.
import { styleText } from 'node:util';

export type Tone = 'strong' | 'faint' | 'good' | 'warn' | 'bad' | 'accent';
export type Style = Readonly<Record<Tone, (text: string) => string>>;

export const PLAIN: Style = {
  strong: (text) => text,
  faint: (text) => text,
  good: (text) => text,
  warn: (text) => text,
  bad: (text) => text,
  accent: (text) => text,
};

/** Colours only where a person reads them and did not ask for none (no-color.org: any non-empty value). */
export function chooseStyle(isTerminal: boolean, environment: Readonly<Record<string, string | undefined>>): Style {
  const refused = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
  return isTerminal && !refused ? COLOURED : PLAIN;
}

const COLOURED: Style = {
  strong: (text) => paint('bold', text),
  faint: (text) => paint('dim', text),
  good: (text) => paint('green', text),
  warn: (text) => paint('yellow', text),
  bad: (text) => paint('red', text),
  accent: (text) => paint('cyan', text),
};

function paint(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { validateStream: false });
}

/**
 * Names and messages come from machines: control characters, which could move the cursor or hide text, and characters
 * that turn the reading direction are shown as escapes.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}
