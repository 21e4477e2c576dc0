// LateAbort: an AbortController that is made when somebody asks for its signal. Every handshake and every dial has one for what the
// application may have given, and most have been given nothing.

export class LateAbort {
  #controller: AbortController | null = null;
  #reason: Error | null = null;
  #told: ((reason: Error) => void) | null = null;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== null) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  /** Tells one who needs no signal, at once if it is aborted already. */
  tell(told: (reason: Error) => void): void {
    this.#told = told;
    if (this.#reason !== null) told(this.#reason);
  }

  /** Nobody is to be told any more. */
  forget(): void {
    this.#told = null;
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#told?.(reason);
  }
}
