// Environment variables of a client (RFC 1572). In: the bytes of a subnegotiation. Out: the variables, and those of them that may be
// used. This option is how telnet servers were broken into for thirty years: what is not on the list does not exist, and nothing here
// becomes an argument.

import { INFO, IS, Option, SEND } from './protocol.ts';
import { type SubnegotiationEvent, subnegotiation } from './telnet.ts';

const VAR = 0;
const VALUE = 1;
const ESC = 2;
const USERVAR = 3;

const MOST_VARIABLES = 16;
const NAME_BYTES = 64;
const VALUE_BYTES = 256;

export interface Variable {
  readonly name: string;
  /** null: the client says that it is not set. */
  readonly value: string | null;
}

/** What a login may use. Everything else is named in `refused`, for the audit log. */
export interface Environment {
  /** LANG, LC_* and COLORTERM, for the environment of the shell. */
  readonly variables: ReadonlyMap<string, string>;
  /** Fills in the login prompt, with the session's name behind a '+'. Never more than that. */
  readonly user: string | null;
  /** Names of other variables, and of such with a value that does not pass, made printable. */
  readonly refused: readonly string[];
}

const LOCALE_NAME = /^(LANG|LC_[A-Z]{1,32})$/;
const LOCALE_VALUE = /^[A-Za-z0-9_.@-]{1,32}$/;
const COLOR_VALUE = /^[A-Za-z0-9]{1,32}$/;
const USER_VALUE = /^[a-z_][a-z0-9_-]{0,31}(\+[A-Za-z0-9_-]{1,32})?$/;

/**
 * The variables of an IS or INFO. Sixteen at most, names up to 64 bytes and values up to 256; longer ones are left out, the last of equal
 * names counts.
 * @returns null for a SEND and what is none of the three.
 */
export function parseEnvironment(bytes: Buffer): Variable[] | null {
  if (bytes[0] !== IS && bytes[0] !== INFO) return null;
  const found = new Map<string, string | null>();
  let at = 1;
  while (at < bytes.length && found.size < MOST_VARIABLES) {
    const mark = bytes[at];
    // In front of the first VAR nothing has a meaning.
    if (mark !== VAR && mark !== USERVAR) {
      at += mark === ESC ? 2 : 1;
      continue;
    }
    const name = textAt(bytes, at + 1, NAME_BYTES);
    let value: Text | null = null;
    at = name.next;
    if (bytes[at] === VALUE) {
      value = textAt(bytes, at + 1, VALUE_BYTES);
      at = value.next;
    }
    if (name.text === null || name.text === '' || value?.text === null) continue;
    found.set(name.text, value === null ? null : value.text);
  }
  return [...found].map(([name, value]) => ({ name, value }));
}

/** Picks what may be used. */
export function allowEnvironment(found: readonly Variable[]): Environment {
  const variables = new Map<string, string>();
  const refused: string[] = [];
  let user: string | null = null;
  for (const { name, value } of found) {
    if (value === null || value === '') continue;
    if (name === 'USER' && USER_VALUE.test(value)) user = value;
    else if (LOCALE_NAME.test(name) && LOCALE_VALUE.test(value)) variables.set(name, value);
    else if (name === 'COLORTERM' && COLOR_VALUE.test(value)) variables.set(name, value);
    else refused.push(name.replace(/[^\x21-\x7e]/g, '?'));
  }
  return { variables, user, refused };
}

/** Asks for the few variables by name. "All of them" is never asked: the answer would be none of our business. */
export function environmentRequest(...names: readonly string[]): SubnegotiationEvent {
  return subnegotiation(Option.newEnviron, SEND, ...names.flatMap((name) => [VAR, name]));
}

/**
 * A client's answer to a SEND: of the variables asked for, those that it exports, and nothing else, whatever is asked.
 * @returns null where the bytes are no SEND.
 */
export function environmentReply(request: Buffer, exported: ReadonlyMap<string, string>): SubnegotiationEvent | null {
  if (request[0] !== SEND) return null;
  const asked = new Set<string>();
  for (let at = 1; at < request.length && asked.size < MOST_VARIABLES; ) {
    const name = textAt(request, at + 1, NAME_BYTES);
    if (name.text !== null && name.text !== '') asked.add(name.text);
    at = name.next;
  }
  const told = [...exported].filter(([name]) => asked.size === 0 || asked.has(name));
  return subnegotiation(Option.newEnviron, IS, ...told.flatMap(([name, value]) => [VAR, escaped(name), VALUE, escaped(value)]));
}

/** Variables as an IS. */
export function environment(variables: readonly Variable[]): SubnegotiationEvent {
  const parts = variables.flatMap(({ name, value }) => [VAR, escaped(name), ...(value === null ? [] : [VALUE, escaped(value)])]);
  return subnegotiation(Option.newEnviron, IS, ...parts);
}

interface Text {
  /** null: too long. */
  readonly text: string | null;
  /** Index of the mark behind it, or the end. */
  readonly next: number;
}

/** Text up to the next mark, with the escapes undone. */
function textAt(bytes: Buffer, from: number, mostBytes: number): Text {
  const out = Buffer.alloc(mostBytes);
  let size = 0;
  let at = from;
  for (; at < bytes.length; at++) {
    let byte = bytes[at] as number;
    if (byte === ESC && at + 1 < bytes.length) byte = bytes[++at] as number;
    else if (byte <= USERVAR) break;
    if (size < mostBytes) out[size] = byte;
    size++;
  }
  return { text: size > mostBytes ? null : out.toString('utf8', 0, size), next: at };
}

function escaped(text: string): Buffer {
  const bytes = [...Buffer.from(text, 'utf8')];
  return Buffer.from(bytes.flatMap((byte) => (byte <= USERVAR ? [ESC, byte] : [byte])));
}
