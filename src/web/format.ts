// Quantities as people read them. Pure.

const AGO_UNITS: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** How long ago a moment was. public/live.js says it in the same words as time goes on. */
export function formatAgo(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 5) return 'just now';
  const [size, unit] = AGO_UNITS.find(([unitSeconds]) => seconds >= unitSeconds) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** A span of time: `0.3 s`, `84 s`, `2 min 5 s`, `3 h 20 min`. */
export function formatSpan(milliseconds: number): string {
  if (milliseconds < 9_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A step of a boot, which may be over within milliseconds. */
export function formatStep(milliseconds: number): string {
  return milliseconds < 100 ? `${Math.round(milliseconds)} ms` : formatSpan(milliseconds);
}

/** Decimal units, as on network links and disks. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power] ?? ''}`;
}

/** Binary units, as memory is sold. */
export function formatMemory(bytes: number): string {
  const gibibytes = bytes / 1024 ** 3;
  if (gibibytes < 1) return `${Math.round(bytes / 1024 ** 2)} MiB`;
  return `${gibibytes < 10 ? Number(gibibytes.toFixed(1)) : Math.round(gibibytes)} GiB`;
}

/** `2026-01-01 12:00:00` in UTC. */
export function formatMoment(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');
}
