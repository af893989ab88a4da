// Numbers as the sentences of rollouts say them. Pure.

/** `90 s`, `30 min`, `2 h`, `3 days`: whole units, rounded down. */
export function sayDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** `512 MiB`, `1.25 GiB`. */
export function sayBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${units[power] ?? ''}`;
}

/** `2026-01-01 12:00 UTC`. */
export function sayMoment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export function sayMachines(count: number): string {
  return count === 1 ? '1 machine' : `${count} machines`;
}
