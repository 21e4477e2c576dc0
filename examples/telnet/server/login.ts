// The login: who is there? In: a prompter, the users, the throttle. Out: a user and the session that he named, or nobody. Every name takes
// the same way and the same time, whether it exists or not.

import type { AuditEvent, AuditFacts } from './audit.ts';
import type { TelnetConnection } from './connection.ts';
import type { Prompter } from './prompter.ts';
import type { LoginThrottle } from './throttle.ts';
import type { User, Users } from './users.ts';

export interface LoginContext {
  readonly users: Users;
  readonly throttle: LoginThrottle;
  /** Passwords may cross a network that reads them. */
  readonly insecure: boolean;
  readonly audit: (event: AuditEvent, facts: AuditFacts) => void;
}

export interface LoggedIn {
  readonly user: User;
  /** What stood behind the `+`; null: nothing did. */
  readonly wanted: string | null;
}

/** `name`, or `name+session`. */
export const LOGIN: RegExp = /^([a-z_][a-z0-9_-]{0,31})(?:\+([A-Za-z0-9_-]{1,32}))?$/;

const MOST_TRIES = 3;
/** Clients that negotiate tell their terminal within this; the others are asked without. */
const NEGOTIATION_MS = 500;

/** @returns null where the connection is to be closed; the user was told why */
export async function login(connection: TelnetConnection, prompter: Prompter, context: LoginContext): Promise<LoggedIn | null> {
  const { circuit } = connection.facts;
  await connection.negotiated(NEGOTIATION_MS);
  const { terminal, environment } = connection.client;
  context.audit('negotiated', { terminal: terminal?.name ?? null, telnet: connection.negotiates, refused: environment?.refused ?? [] });
  // Names such as LD_PRELOAD, or a user `-f root`: nothing comes of them, but somebody tried.
  if ((environment?.refused.length ?? 0) > 0) context.audit('suspicious', { variables: environment?.refused ?? [] });
  if (!circuit.secure && !circuit.local && !context.insecure) {
    connection.say('\nThis server takes no passwords over a connection that anybody on the way can read. Use TLS.\n');
    context.audit('login-refused', { why: 'cleartext' });
    return null;
  }
  let offered = environment?.user ?? null;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const name = offered ?? (await prompter.ask('login: '));
    if (name === null) return null;
    if (offered !== null) connection.say(`login: ${offered}\n`);
    offered = null;
    if (!connection.echoes) connection.say('(your client will show the password)\n');
    const password = await prompter.ask('password: ', true);
    if (password === null) return null;
    const outcome = await judge(name.trim(), password, circuit.remoteAddress, context);
    if (typeof outcome === 'object') return outcome;
    connection.say(`${outcome}\n`);
    if (outcome !== WRONG) return null;
  }
  return null;
}

const WRONG = 'wrong name or password';

/** @returns what to tell the user where it is not him */
async function judge(typed: string, password: string, address: string, context: LoginContext): Promise<LoggedIn | string> {
  const { users, throttle, audit } = context;
  const parsed = LOGIN.exec(typed);
  const name = parsed?.[1] ?? '';
  // A password typed where the name belongs must not be in the log, so a name that nobody can have is not written there.
  const logged = parsed === null ? '(impossible name)' : name;
  const waitMs = throttle.waitMs(address, name, performance.now());
  if (waitMs > 0) {
    audit('login-refused', { user: logged, why: 'throttled' });
    return `too many wrong passwords, try again in ${Math.ceil(waitMs / 1000)} s`;
  }
  let user: User | null;
  try {
    user = await users.check(name, password);
  } catch {
    audit('login-refused', { user: logged, why: 'busy' });
    return 'too many logins at once, try again later';
  }
  if (user === null) {
    throttle.failed(address, name, performance.now());
    audit('login-failed', { user: logged });
    return WRONG;
  }
  throttle.succeeded(address, name, performance.now());
  audit('login', { user: name });
  return { user, wanted: parsed?.[2] ?? null };
}
