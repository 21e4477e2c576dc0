// What a client is told. In: options of the caller and of the environment. Out: those of TLS, and what the server may learn.

import type { ConnectionOptions } from 'node:tls';
import type { Terminal } from './terminal.ts';

export interface TelnetClientOptions {
  readonly host: string;
  readonly port: number;
  /** TLS to the same port; true: with the certificates that Node trusts. */
  readonly tls?: ConnectionOptions | boolean;
  /** Fills in the login prompt: `alice`, or `alice+work` for a shell by its name. */
  readonly user?: string;
  /** Opens a new session even where a saved one could be taken up. */
  readonly fresh?: boolean;
  /** Where sessions are saved; null: nowhere. Default: `outlast/telnet` in XDG_STATE_HOME. */
  readonly folder?: string | null;
  /** TERM, LANG, LC_ALL, COLORTERM and XDG_STATE_HOME are looked at. Default: that of the process. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Default: standard input and output of the process. */
  readonly terminal?: Terminal;
  /** Detaches when it is aborted: SIGTERM, SIGHUP. */
  readonly signal?: AbortSignal;
  /** A dead network shows after two of these and five seconds. Default 5,000. */
  readonly heartbeatMs?: number;
  /** How long the server is asked to keep the session without a circuit. Default: seven days; the server may grant less. */
  readonly holdMs?: number;
}

export function tlsOf({ tls }: TelnetClientOptions): ConnectionOptions | null {
  if (tls === undefined || tls === false) return null;
  return tls === true ? {} : tls;
}

/** All that a server may ask for. Nothing else of the environment leaves this machine. */
export function guestEnvironment(environment: NodeJS.ProcessEnv, user: string | undefined): ReadonlyMap<string, string> {
  const told = new Map<string, string>();
  for (const name of ['LANG', 'LC_ALL', 'COLORTERM']) {
    const value = environment[name];
    if (value !== undefined && value !== '') told.set(name, value);
  }
  if (user !== undefined && user !== '') told.set('USER', user);
  return told;
}
