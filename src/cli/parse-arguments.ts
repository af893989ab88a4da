// The words that options take, turned into values. Pure; what is wrong is commander's kind of error, hence exit code 2.
import { InvalidArgumentError } from 'commander';
import { parseMacAddress, type MacAddress } from '../protocol/mac-address.ts';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `2h`, `7d`; a number alone counts seconds. */
export function parseDurationSeconds(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('Write a time like 90s, 15m, 2h or 7d.');
  return Number(digits) * (UNIT_SECONDS[unit ?? ''] ?? 1);
}

export function parseCount(text: string): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('Write a whole number from 1.');
  return count;
}

/** An event's number; 0 means from the first event on. */
export function parseSeq(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Write the number of an event.');
  return Number(text);
}

export function parseMac(text: string): MacAddress {
  const mac = parseMacAddress(text);
  if (mac === undefined) throw new InvalidArgumentError('Write a MAC address like 52:54:00:0a:0b:0c.');
  return mac;
}

/** For an option that may be given several times: `--label rack=7 --label role=worker`. */
export function collectLabel(
  text: string,
  earlier: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, key, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError('Write a label like rack=7.');
  return { ...earlier, [key]: value };
}

/** `kernel=PATH` into its two halves. */
export function parseAssignment(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
