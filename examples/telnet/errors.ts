// The one error of the codec: a caller asked for something that telnet cannot carry. A peer never causes one, since any bytes are telnet.

/** A subset of the codes of `SessionError`, with the same meaning. */
export type TelnetErrorCode = 'ERR_INVALID_OPTION' | 'ERR_INVALID_MESSAGE' | 'ERR_MESSAGE_TOO_LARGE';

/** Shaped like `SessionError`, so that one handler can log both; a class of its own, so that the codec depends on types alone. */
export class TelnetError extends Error {
  override readonly name: string = 'TelnetError';
  readonly code: TelnetErrorCode;
  readonly blame: 'caller' = 'caller' as const;
  readonly retryable: false = false as const;

  constructor(code: TelnetErrorCode, what: string) {
    super(what);
    this.code = code;
  }
}
