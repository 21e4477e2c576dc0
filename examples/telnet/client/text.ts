// The client's own words. In: times, what is typed, errors. Out: lines for people.

import type { SessionError, SessionErrorCode } from 'outlast';

export function offlineLine(offlineMs: number, retryInMs: number, typed: string): string {
  const retry = retryInMs < 1_000 ? 'retrying' : `retry in ${Math.ceil(retryInMs / 1_000)} s`;
  const state = `offline ${span(offlineMs)}, ${retry}`;
  // What is typed needs the room more than what was there to be read before.
  return typed === '' ? `${state}; Enter now, ~. quit, ~d detach` : `${state}; ~c drops: ${typed}`;
}

export function questionLine(ageMs: number, typed: string): string {
  return `typed ${span(ageMs)} ago; Enter sends, ~c drops: ${typed}`;
}

export function span(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}

const words: Partial<Record<SessionErrorCode, string>> = {
  ERR_TAKEN_OVER: 'another client has taken this session up',
  ERR_UNKNOWN_SESSION: 'the server does not know this session any more: it was restarted',
  ERR_EXPIRED: 'the session was offline for longer than the server keeps one',
  ERR_GAVE_UP: 'the server was out of reach for longer than it keeps a session',
  ERR_STATE_LOST: 'the server and this client do not agree on what was said',
  ERR_SHUTDOWN: 'the server was shut down',
  ERR_DRAINING: 'the server is shutting down',
  ERR_BUSY: 'the server takes no more sessions now',
};

/** @param name host and port. */
export function reasonOf(error: SessionError, name: string): string {
  if (error.code === 'ERR_NOT_OUR_PROTOCOL') {
    const plain = /telnet/.test(error.message) ? 'a plain telnet server: use telnet(1)' : 'something else';
    return `${name} is no Outlast server but ${plain} (${error.message})`;
  }
  if (error.code === 'ERR_HANDSHAKE_TIMEOUT')
    return `${name} takes connections and does not answer: it is no Outlast server, or an overloaded one`;
  const said = words[error.code];
  return said === undefined ? `${error.code}: ${error.message}` : `${said} (${error.code})`;
}
