// What stands on a command line, as values: durations, sizes, shares, places. Text goes in with the name of its flag, numbers and addresses
// come out, or a UsageError that says what would have been understood.

import { readFileSync, statSync } from 'node:fs';

/** Wrong use of the command: told on standard error with a hint, exit code 2. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/** One end of a connection: TCP, or a Unix socket. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

const DURATIONS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1e3, MB: 1e6, GB: 1e9 };

/** `250ms`, `1.5s`, `10m`, `2h`, `1d` in milliseconds. */
export function duration(name: string, text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined) throw new UsageError(`${name} takes a duration such as 500ms, 30s, 5m or 2h, not '${text}'`);
  return Math.round(Number(number) * (DURATIONS_MS[unit as string] as number));
}

/** `2s`, or `500ms-3s`, as the least and the most. */
export function durations(name: string, text: string): { readonly leastMs: number; readonly mostMs: number } {
  const [least = '', most = least, ...more] = text.split('-');
  if (more.length > 0) throw new UsageError(`${name} takes a duration or a range such as 500ms-3s, not '${text}'`);
  const range = { leastMs: duration(name, least), mostMs: duration(name, most) };
  if (range.leastMs > range.mostMs) throw new UsageError(`${name}: ${least} is more than ${most}`);
  return range;
}

/** `65536`, `64KiB`, `2MiB`, `10MB` in bytes. */
export function size(name: string, text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|kB|MB|GB|)$/.exec(text) ?? [];
  if (number === undefined) throw new UsageError(`${name} takes a size such as 65536, 64KiB or 2MiB, not '${text}'`);
  return Math.round(Number(number) * (SIZES[unit as string] as number));
}

/** `10%` or `0.1`. */
export function share(name: string, text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const value = Number(number) / (percent === '%' ? 100 : 1);
  if (!(value >= 0 && value <= 1)) throw new UsageError(`${name} takes a share from 0% to 100%, not '${text}'`);
  return value;
}

export function whole(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new UsageError(`${name} takes a whole number from ${least} to ${most}, not '${text}'`);
  return value;
}

/** `HOST:PORT`, `[IPv6]:PORT`, `PORT` alone (then 127.0.0.1), or the path of a Unix socket, which has a slash in it. */
export function place(name: string, text: string, leastPort: 0 | 1 = 1): Place {
  if (text.includes('/')) return { path: text.replace(/^unix:/, '') };
  const [, bracketed, plain, port] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d+)$/.exec(text) ?? [];
  if (port === undefined) throw new UsageError(`${name} takes HOST:PORT, PORT or the path of a Unix socket, not '${text}'`);
  return { host: bracketed ?? plain ?? '127.0.0.1', port: whole(`the port of ${name}`, port, leastPort, 65_535) };
}

export function showPlace(where: Place): string {
  if ('path' in where) return where.path;
  return `${where.host.includes(':') ? `[${where.host}]` : where.host}:${where.port}`;
}

/** The bytes of a file that a flag names. */
export function fileOf(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${name}: cannot read ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** A secret: the bytes of the file without the line end behind them. Who else may read the file is refused, as ssh does with its keys. */
export function secretOf(name: string, path: string): Buffer {
  const bytes = fileOf(name, path);
  if ((statSync(path).mode & 0o077) !== 0) throw new UsageError(`${name}: others may read ${path}; chmod 600 it`);
  const secret = bytes.subarray(0, bytes.length - (/\r?\n$/.exec(bytes.toString('latin1'))?.[0].length ?? 0));
  if (secret.length < 16)
    throw new UsageError(`${name}: ${path} holds ${secret.length} bytes, at least 16 are needed (openssl rand -base64 32)`);
  return secret;
}

/** `820 ms`, `12.3 s`, `4 min`, `2.0 h`: for people. */
export function showDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

export function showSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}
