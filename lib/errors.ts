// The one error class of the library and the closed table of its codes.
// A message reads: what happened. why it is likely. what to do about it. docs/errors.md has a paragraph for each code.

/** Who has to act: the calling code, the other end, the network between, or a configured rule. */
export type Blame = 'caller' | 'peer' | 'network' | 'policy';

interface Row {
  readonly blame: Blame;
  /** True where the same call or dial may succeed later without a change. */
  readonly retryable: boolean;
  readonly why: string;
  readonly advice: string;
}

const caller = (why: string, advice: string): Row => ({ blame: 'caller', retryable: false, why, advice });
const peer = (why: string, advice: string): Row => ({ blame: 'peer', retryable: false, why, advice });
const network = (why: string, advice: string, retryable = true): Row => ({ blame: 'network', retryable, why, advice });
const policy = (why: string, advice: string, retryable = false): Row => ({ blame: 'policy', retryable, why, advice });

/** Every code this library can report. The union is closed: a switch over it can be exhaustive. */
export type SessionErrorCode =
  | 'ERR_INVALID_OPTION'
  | 'ERR_INVALID_MESSAGE'
  | 'ERR_MESSAGE_TOO_LARGE'
  | 'ERR_BUFFER_FULL'
  | 'ERR_CONSUMED'
  | 'ERR_ENDED'
  | 'ERR_CLOSED'
  | 'ERR_ABORTED'
  | 'ERR_APPLICATION'
  | 'ERR_UNREAD'
  | 'ERR_CLOSE_TIMEOUT'
  | 'ERR_DESTROYED'
  | 'ERR_CLEARTEXT_CREDENTIALS'
  | 'ERR_WOULD_DEADLOCK'
  | 'ERR_PROTOCOL'
  | 'ERR_NOT_OUR_PROTOCOL'
  | 'ERR_HANDSHAKE'
  | 'ERR_FRAMING'
  | 'ERR_TRUNCATED'
  | 'ERR_PEER_APPLICATION'
  | 'ERR_PEER_UNREAD'
  | 'ERR_PEER_DESTROYED'
  | 'ERR_CIRCUIT_LOST'
  | 'ERR_HEARTBEAT'
  | 'ERR_WRITE_STALL'
  | 'ERR_HANDSHAKE_TIMEOUT'
  | 'ERR_CONNECT'
  | 'ERR_GAVE_UP'
  | 'ERR_STATE_LOST'
  | 'ERR_UNKNOWN_SESSION'
  | 'ERR_BUSY'
  | 'ERR_DRAINING'
  | 'ERR_RETRY_LATER'
  | 'ERR_AUTH'
  | 'ERR_DUPLICATE'
  | 'ERR_REPLACED'
  | 'ERR_TAKEN_OVER'
  | 'ERR_STALE_GENERATION'
  | 'ERR_EXPIRED'
  | 'ERR_MEMORY_BUDGET'
  | 'ERR_SHUTDOWN'
  | 'ERR_VERSION'
  | 'ERR_DOWNGRADE'
  | 'ERR_FRAMING_MISMATCH'
  | 'ERR_KEY_METHOD'
  | 'ERR_UNSUPPORTED'
  | 'ERR_EXHAUSTED'
  | 'ERR_STORE'
  | 'ERR_FENCED';

const table: Readonly<Record<SessionErrorCode, Row>> = {
  // -- blame: caller
  ERR_INVALID_OPTION: caller('an option is missing, of the wrong type or out of its range', 'correct the option named above'),
  ERR_INVALID_MESSAGE: caller('the framing has no way to carry this value', 'send what the framing takes, or choose another framing'),
  ERR_MESSAGE_TOO_LARGE: caller(
    'one message is larger than limits.messageBytes or the window',
    'send it in parts, or raise messageBytes and window on both ends',
  ),
  ERR_BUFFER_FULL: caller('send() went on after it had returned false', 'await session.drained() when send() returns false'),
  ERR_CONSUMED: caller('a session has one consumer at a time', 'leave the first loop, or read in one place and pass the messages on'),
  ERR_ENDED: caller('send() was called after end() or close()', 'send before end()'),
  ERR_CLOSED: caller('the session or server has already ended', 'open a new one; the close event has told the cause'),
  ERR_ABORTED: caller('the AbortSignal given to this call fired', 'nothing: this is what was asked for'),
  ERR_APPLICATION: caller('a handler, iterator or listener of the application threw', 'see the cause; catch what may fail in the handler'),
  ERR_UNREAD: caller(
    'close() was called while nobody read the inbound messages',
    'read until the loop ends, or accept the loss and ignore this error',
  ),
  ERR_CLOSE_TIMEOUT: caller(
    'the other end did not finish within close({ timeoutMs })',
    'raise timeoutMs, or make sure that the peer reads and ends',
  ),
  ERR_DESTROYED: caller('destroy() was called', 'use close() where the messages in flight matter'),
  ERR_CLEARTEXT_CREDENTIALS: caller(
    'credentials would cross a plain TCP connection that leaves this machine',
    'use tls, or set allowCleartextCredentials if the network is trusted',
  ),
  ERR_WOULD_DEADLOCK: caller(
    'a message in progress waits for its own outputs, which wait until it is finished',
    'await session.commit() first, or wait outside of the handler',
  ),

  // -- blame: peer
  ERR_PROTOCOL: peer(
    'the other end broke a rule of PROTOCOL.md',
    'report it with the rule named above; check that both ends run a released version',
  ),
  ERR_NOT_OUR_PROTOCOL: peer(
    'something else than an Outlast peer is on this connection',
    'check address and port, and that TLS is on at both ends or at none',
  ),
  ERR_HANDSHAKE: peer('a handshake MAC did not verify', 'check that both ends have the same psk, and that nothing rewrites the connection'),
  ERR_FRAMING: peer('the bytes do not follow the framing', 'check that both ends use the same framing with the same options'),
  ERR_TRUNCATED: peer('the stream ended in the middle of a message', 'make the sender finish its message before end()'),
  ERR_PEER_APPLICATION: peer('a handler of the other end failed', 'look into the log of the other end'),
  ERR_PEER_UNREAD: peer(
    'the other end closed without reading everything',
    'make the other end read until its loop ends, or send less after it has finished',
  ),
  ERR_PEER_DESTROYED: peer('the other end called destroy()', 'look into the log of the other end'),

  // -- blame: network
  ERR_CIRCUIT_LOST: network(
    'the connection was closed or reset',
    'nothing: the session lives on and the client redials; a bare session ends with its connection',
  ),
  ERR_HEARTBEAT: network('nothing was heard for two heartbeats and five seconds', 'nothing: the session lives on and the client redials'),
  ERR_WRITE_STALL: network(
    'the network took no byte and brought none for writeStallMs',
    'nothing: the session lives on and the client redials',
  ),
  ERR_HANDSHAKE_TIMEOUT: network(
    'the other end did not answer the handshake in time',
    'check that an Outlast server listens there and is not overloaded',
  ),
  ERR_CONNECT: network('no address took the connection', 'check host, port and firewall; open({ retry: true }) keeps trying'),
  ERR_GAVE_UP: network(
    'no circuit could be made for longer than the other end holds a session',
    'raise holdMs on both ends for longer outages',
    false,
  ),
  ERR_STATE_LOST: network('one end no longer has the bytes that the other still needs', 'open a new session and hand on error.loss', false),
  ERR_UNKNOWN_SESSION: network(
    'the server restarted without a store, or another machine answered',
    'open a new session; use a store or sticky routing',
    false,
  ),

  // -- blame: policy
  ERR_BUSY: policy('the server is at one of its limits', 'try later, or raise the limits of the server', true),
  ERR_DRAINING: policy('the server is shutting down', 'try again, elsewhere if there is a choice', true),
  ERR_RETRY_LATER: policy('the server cannot decide now', 'try again after the time it named', true),
  ERR_AUTH: policy('authenticate or authorizeResume refused', 'check the credentials and what the server asks for'),
  ERR_DUPLICATE: policy(
    'this principal has a session already and onDuplicate is "reject"',
    'end the other session first, or choose another policy',
  ),
  ERR_REPLACED: policy(
    'a newer session of the same principal replaced this one',
    'do not reopen at once: the other one would be replaced in turn',
  ),
  ERR_TAKEN_OVER: policy('another process resumed this session', 'do not redial: one identity belongs to one process'),
  ERR_STALE_GENERATION: policy('a newer circuit of this session was accepted', 'nothing: the newer circuit goes on'),
  ERR_EXPIRED: policy('the session was detached for longer than its hold time', 'raise holdMs on both ends for longer outages'),
  ERR_MEMORY_BUDGET: policy(
    'the process-wide budget for buffered bytes is used up',
    'raise limits.processBytes, or lower window and hold time',
  ),
  ERR_SHUTDOWN: policy('the server was closed', 'open a new session elsewhere'),
  ERR_VERSION: policy('the two ends share no protocol version', 'update the older end'),
  ERR_DOWNGRADE: policy('both ends speak a newer version than the one used', 'something between them rewrites the handshake: use TLS'),
  ERR_FRAMING_MISMATCH: policy(
    'the two ends are configured with different framings',
    'give both ends the same framing with the same options',
  ),
  ERR_KEY_METHOD: policy('the two ends share no way to agree on keys', 'behind a TLS terminator set tlsTerminated: true on the client'),
  ERR_UNSUPPORTED: policy('the other end asked for something that is not offered here', 'see the message, or update the older end'),
  ERR_EXHAUSTED: policy('an offset or generation would exceed 2^53-1', 'open a new session', false),
  ERR_STORE: policy('the store cannot take or give records as it is', 'see the message: it names the setting or the limit', true),
  ERR_FENCED: policy('another process has taken this session from the store', 'nothing: it goes on there'),
};

/** All codes, for documentation and tests. */
export const sessionErrorCodes: readonly SessionErrorCode[] = Object.keys(table) as SessionErrorCode[];

/** What an unclean end left undone, so that nothing is lost silently. Counts exclude the END marks. */
export interface Loss {
  /** Outgoing messages not confirmed as consumed, oldest first; cut from the bytes by the session's own framing. */
  readonly unconfirmed: readonly unknown[];
  /** Outgoing bytes behind those messages, with framing. */
  readonly unconfirmedBytes: number;
  /** True where an authenticated final number from the peer fixed the count; false: the peer may have consumed some of them. */
  readonly exact: boolean;
  /** Inbound messages that had arrived and were never handed to the application. */
  readonly undelivered: number;
  /** Inbound bytes of those, with framing. */
  readonly undeliveredBytes: number;
}

export interface SessionErrorOptions {
  readonly cause?: unknown;
  /** Overrides the table where the same code can be either end's fault. */
  readonly blame?: Blame;
  readonly loss?: Loss;
  /** How long the other end asked to wait, in milliseconds. */
  readonly retryAfterMs?: number;
}

// A registered symbol and not instanceof: two copies of the package in one process must agree (undici does the same).
const brand: symbol = Symbol.for('outlast.SessionError');

/** Everything this library throws, rejects with or reports. */
export class SessionError extends Error {
  override readonly name: string = 'SessionError';
  readonly code: SessionErrorCode;
  readonly blame: Blame;
  readonly retryable: boolean;
  readonly retryAfterMs: number;
  /** Present on the error of an unclean end. */
  readonly loss: Loss | undefined;

  /** @param what What happened, in one clause with the numbers; the table adds the likely why and the advice. */
  constructor(code: SessionErrorCode, what: string, options: SessionErrorOptions = {}) {
    const row = table[code];
    super(`${what}: ${row.why}; ${row.advice}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.blame = options.blame ?? row.blame;
    this.retryable = row.retryable;
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.loss = options.loss;
  }

  /** True for any SessionError, also one from another copy of this package; with a code, only for that code. */
  static is(value: unknown, code?: SessionErrorCode): value is SessionError {
    if (typeof value !== 'object' || value === null || (value as Record<symbol, unknown>)[brand] !== true) return false;
    return code === undefined || (value as SessionError).code === code;
  }
}

Object.defineProperty(SessionError.prototype, brand, { value: true });

/** The same error with the loss filled in: the cause is known before the count is. */
export function withLoss(error: SessionError, loss: Loss): SessionError {
  // Its stack is that of the other one, and its own would be taken, and made into text when it is replaced: more work than all else of an
  // end, and a thousand sessions may end at once. Nor is the other one's read before somebody asks.
  const { stackTraceLimit } = Error;
  Reflect.set(Error, 'stackTraceLimit', 0);
  const told = new SessionError(error.code, '', { cause: error.cause, blame: error.blame, loss, retryAfterMs: error.retryAfterMs });
  Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  told.message = error.message;
  Object.defineProperty(told, 'stack', { get: () => error.stack, configurable: true });
  return told;
}
