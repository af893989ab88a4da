// Events for people: one line each, as they happen. Pure.
import { describeEvent, type BootEvent } from '../events/boot-event.ts';
import { formatTimeOfDay } from './format-quantities.ts';
import { printable, type Style } from './style.ts';

const BAD = /-(failed|refused|no-loader)$|^(dhcp-no-loader|agent-message)$/;
const GOOD = /^(enrolled|config-applied)$/;

/** Time, machine, sentence. */
export function formatEvent(event: BootEvent, style: Style): string {
  const who = (event.mac ?? event.machineId ?? '').padEnd(18);
  return `  ${style.faint(formatTimeOfDay(event.at))}  ${style.accent(who)}  ${toneOf(event, style)(sentenceOf(event))}\n`;
}

/** The sentence of its kind, safe to print. A newer server may have kinds that have none here. */
export function sentenceOf(event: BootEvent): string {
  const sentence: unknown = describeEvent(event);
  return printable(typeof sentence === 'string' ? sentence : event.kind);
}

export function toneOf(event: BootEvent, style: Style): (text: string) => string {
  if (event.kind === 'agent-message') return event.details.level === 'info' ? (text) => text : style.warn;
  if (event.kind === 'machine-state' && event.details.to === 'failed') return style.bad;
  if (event.kind === 'machine-state' && event.details.to === 'active') return style.good;
  if (BAD.test(event.kind)) return style.bad;
  return GOOD.test(event.kind) ? style.good : (text) => text;
}
