// Times in which machines may be taken down: days of the week and a span of the day, in one time zone. Pure.
import { AppError } from '../errors.ts';
import { instantOf, isTimeZone, localDay, weekdayOf } from './local-time.ts';

/** Days from 0 (Sunday); minutes of the day. A span that ends before it starts ends on the next day. */
export interface MaintenanceWindow {
  readonly days: readonly number[];
  readonly startMinute: number;
  readonly endMinute: number;
  /** IANA name, such as Europe/Berlin. */
  readonly timeZone: string;
}

const DAY_NAMES = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
const DAY_MINUTES = 24 * 60;
const FORM = /^(\S+(?:\s*[,–-]\s*[a-z]+)*)\s+(\d{1,2}):(\d{2})\s*[–-]\s*(\d{1,2}):(\d{2})(?:\s+(\S+))?$/i;
const EXAMPLE = "write it like 'Sat 01:00–05:00 Europe/Berlin', 'Mon-Fri 22:00-04:00 UTC' or 'daily 02:00-04:00 UTC'";

/** Reads `Sat,Sun 01:00–05:00 Europe/Berlin`; days in a list or from–to, a hyphen or an en dash, 24:00 as an end. */
export function parseMaintenanceWindow(text: string): MaintenanceWindow {
  const refuse = (why: string): AppError => new AppError('invalid-request', `window '${text}': ${why}; ${EXAMPLE}.`);
  if (text.includes(';')) throw refuse('it has several spans, but a window is one');
  const [, dayText, startHour, startMinutes, endHour, endMinutes, timeZone] = FORM.exec(text.trim()) ?? [];
  if (dayText === undefined) throw refuse('it is not days, a span of the day and a time zone');
  const days = parseDays(dayText);
  if (days === undefined) throw refuse(`'${dayText}' are no days: they are Mon, Tue, Wed, Thu, Fri, Sat, Sun`);
  const startMinute = minuteOf(startHour, startMinutes);
  const endMinute = minuteOf(endHour, endMinutes);
  if (startMinute === undefined || endMinute === undefined || startMinute === DAY_MINUTES)
    throw refuse('a time of day is from 00:00 to 23:59, and 24:00 as an end');
  if (startMinute === endMinute) throw refuse('it ends when it starts; the whole day is 00:00–24:00');
  if (timeZone === undefined) throw refuse('it names no time zone');
  if (!isTimeZone(timeZone)) throw refuse(`there is no time zone '${timeZone}'`);
  return { days, startMinute, endMinute, timeZone };
}

/** `Mon–Fri 22:00–04:00 UTC`: parseMaintenanceWindow reads it back. */
export function formatMaintenanceWindow({ days, startMinute, endMinute, timeZone }: MaintenanceWindow): string {
  return `${formatDays(days)} ${formatMinute(startMinute)}–${formatMinute(endMinute)} ${timeZone}`;
}

/** When the span ends that is open now; undefined while none is. */
export function windowClosesAt(window: MaintenanceWindow, now: number): number | undefined {
  return spansAround(window, now).find(({ from, until }) => from <= now && now < until)?.until;
}

/** `now` while it is open, else the start of the next span. A window without a day never opens. */
export function nextWindowOpening(window: MaintenanceWindow, now: number): number | undefined {
  const next = spansAround(window, now).find(({ until }) => now < until);
  return next === undefined ? undefined : Math.max(next.from, now);
}

/** `Sat 01:00`, in the window's own time zone. */
export function formatOpening(window: MaintenanceWindow, at: number): string {
  const { year, month, day, minute } = localDay(at, window.timeZone);
  return `${DAY_NAMES[weekdayOf(year, month, day)] ?? ''} ${formatMinute(minute)}`;
}

/**
 * The spans from yesterday on for two weeks, so that the one is in even where the clock was put forward over a whole span.
 * Both ends are the first moment at which the clock on the wall shows the time or a later one: an hour that comes twice is
 * in once, and one that does not exist makes the span shorter.
 */
function spansAround(
  window: MaintenanceWindow,
  now: number,
): readonly { readonly from: number; readonly until: number }[] {
  const { days, startMinute, endMinute, timeZone } = window;
  const today = localDay(now, timeZone);
  const wraps = endMinute <= startMinute ? DAY_MINUTES : 0;
  return Array.from({ length: 16 }, (_, index) => index - 1)
    .filter((offset) => days.includes(weekdayOf(today.year, today.month, today.day + offset)))
    .map((offset) => ({
      from: instantOf({ ...today, day: today.day + offset, minute: startMinute }, timeZone),
      until: instantOf({ ...today, day: today.day + offset, minute: endMinute + wraps }, timeZone),
    }))
    .filter(({ from, until }) => from < until);
}

function parseDays(text: string): readonly number[] | undefined {
  if (/^daily$/i.test(text)) return EVERY_DAY;
  const days = new Set<number>();
  for (const word of text.split(',')) {
    const [first, last, more] = word.split(/[–-]/).map(dayNumber);
    if (first === undefined || first < 0 || more !== undefined || (last !== undefined && last < 0)) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === (last ?? first)) break;
    }
  }
  return [...days].sort((a, b) => a - b);
}

function dayNumber(name: string): number {
  return DAY_NAMES.findIndex((day) => day.toLowerCase() === name.trim().toLowerCase());
}

/** From Monday on, as weeks are read; three days or more in a row as a span. */
function formatDays(days: readonly number[]): string {
  const names = EVERY_DAY.map((offset) => (offset + 1) % 7).filter((day) => days.includes(day));
  if (names.length === 7) return 'daily';
  const runs: number[][] = [];
  for (const day of names) {
    const run = runs.at(-1);
    if (run?.at(-1) === (day + 6) % 7) run.push(day);
    else runs.push([day]);
  }
  return runs.map(formatRun).join(',');
}

function formatRun(run: readonly number[]): string {
  const names = run.map((day) => DAY_NAMES[day] ?? '');
  return run.length < 3 ? names.join(',') : `${names[0] ?? ''}–${names.at(-1) ?? ''}`;
}

function minuteOf(hours = '', minutes = ''): number | undefined {
  const minute = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && minute <= DAY_MINUTES ? minute : undefined;
}

function formatMinute(minute: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
