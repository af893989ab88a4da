// The time on the wall of a place, and the moment at which it shows a time. Pure; the rules of time zones are those of Intl.

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Month from 1; minute of the day. */
export interface LocalMinute {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly minute: number;
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export function localDay(at: number, timeZone: string): LocalMinute {
  const shown = new Date(shownAt(clockOf(timeZone), at));
  return {
    year: shown.getUTCFullYear(),
    month: shown.getUTCMonth() + 1,
    day: shown.getUTCDate(),
    minute: shown.getUTCHours() * 60 + shown.getUTCMinutes(),
  };
}

/** From 0 (Sunday); days beyond the end of the month count on. */
export function weekdayOf(year: number, month: number, day: number): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay();
}

/**
 * The first moment at which the clock on the wall shows this time or, where it skips it, a later one. Minutes and days that are
 * beyond their end count on.
 */
export function instantOf(local: LocalMinute, timeZone: string): number {
  const clock = clockOf(timeZone);
  const wanted = Date.UTC(local.year, local.month - 1, local.day, 0, local.minute);
  const early = wanted - offsetAt(clock, wanted - DAY);
  const late = wanted - offsetAt(clock, wanted + DAY);
  const first = Math.min(early, late);
  if (shownAt(clock, first) === wanted) return first;
  const second = Math.max(early, late);
  if (shownAt(clock, second) === wanted) return second;
  return changeBetween(clock, first, second, wanted);
}

/** Where the clock was put forward from before `wanted` to after it: it is found by halving, since Intl does not tell. */
function changeBetween(clock: Intl.DateTimeFormat, from: number, until: number, wanted: number): number {
  let [before, after] = [from - DAY, until + DAY];
  while (after - before > 1000) {
    const middle = Math.floor((before + after) / 2 / 1000) * 1000;
    if (shownAt(clock, middle) < wanted) before = middle;
    else after = middle;
  }
  return after;
}

function offsetAt(clock: Intl.DateTimeFormat, at: number): number {
  return shownAt(clock, at) - at;
}

/** What the clock shows, as if it were UTC. */
function shownAt(clock: Intl.DateTimeFormat, at: number): number {
  const second = Math.floor(at / 1000) * 1000;
  const part: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of clock.formatToParts(second)) part[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, seconds) + (at - second);
}

function clockOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}
