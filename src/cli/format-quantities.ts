// Durations, ages and sizes in the words of people. Pure.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `0.4 s`, `12.0 s`, `1 min 3 s`, `2 h 5 min`, `3 days`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < MINUTE) return `${(milliseconds / SECOND).toFixed(1)} s`;
  return inWholeUnits(milliseconds);
}

/** `3 s ago`, `in 14 min`, `now`. */
export function formatAge(at: number, now: number): string {
  const distance = Math.abs(now - at);
  if (distance < SECOND) return 'now';
  return at <= now ? `${inWholeUnits(distance)} ago` : `in ${inWholeUnits(distance)}`;
}

/** Binary units, three digits: `850 B`, `166 KiB`, `1.25 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** Local time of day: `20:31:04.120`. */
export function formatTimeOfDay(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

/** Local date and time: `2026-11-22 20:31:04`. */
export function formatDate(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${formatTimeOfDay(at).slice(0, 8)}`;
}

function inWholeUnits(milliseconds: number): string {
  if (milliseconds < MINUTE) return `${Math.floor(milliseconds / SECOND)} s`;
  if (milliseconds < HOUR) return twoUnits(milliseconds, MINUTE, 'min', SECOND, 's');
  if (milliseconds < 2 * DAY) return twoUnits(milliseconds, HOUR, 'h', MINUTE, 'min');
  return `${Math.floor(milliseconds / DAY)} days`;
}

function twoUnits(milliseconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((milliseconds % large) / small);
  return `${Math.floor(milliseconds / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}
