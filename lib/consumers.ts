// The ways to read a session: one at a time holds it. A consumer pulls ranges from the core, hands messages to the application,
// and says when they are consumed, which is what acks them. User code runs here, never inside the core.

import type { Inbound } from './core/inbound.ts';
import type { Visitor } from './core/inbox.ts';
import type { SessionCore } from './core/session-core.ts';
import { CloseCode } from './core/wire.ts';
import { SessionError } from './errors.ts';
import type { Turns } from './turns.ts';

export interface Consumer {
  /** Messages may be ready. Called once per chunk, not per message. */
  wake(): void;
  /** The session has ended; nothing more will come. Called once. */
  ended(cause: SessionError | undefined): void;
  /** The application writes on after the peer's end, and ends its half itself. */
  readonly keepsOpen?: boolean;
}

/** What a consumer needs of its session. */
export interface Source<Message> {
  readonly core: SessionCore<Message>;
  /** Messages were consumed: acks may be due, the session may be done. */
  settled(): void;
  /** The same at the end of this tick: a loop over many messages must not read the clock for each. */
  settleSoon(): void;
  /** The application's code threw: its session ends, with what it threw as the cause. */
  applicationFailed(error: unknown): void;
  /** The consumer is gone, and another may come. */
  released(consumer: Consumer): void;
  readonly settings: { readonly turns: Turns };
}

/** Makes the message that the core moved to; a codec that cannot (bad JSON) ends the session. */
function take<Message>(source: Source<Message>): { readonly message: Message } | null {
  try {
    return { message: source.core.inbound.inbox.message() };
  } catch (error) {
    framingFailed(source, error);
    return null;
  }
}

/** The codec could not make a message of a range: the stream is at fault, and its session ends. */
export function framingFailed<Message>(source: Source<Message>, error: unknown): void {
  const cause = SessionError.is(error) ? error : new SessionError('ERR_FRAMING', 'the framing failed', { cause: error });
  source.core.fail(CloseCode.FRAMING, cause);
  source.settled();
}

/** Takes the next item, of at most so many messages; null where none is here. */
type Pull<Message, Item> = (source: Source<Message>, most: number) => { readonly item: Item; readonly messages: number } | null;

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: SessionError) => void;
}

/** `for await` over messages, or over batches of them: asking for the next one consumes what was handed out before. */
export class IteratorConsumer<Message, Item> implements Consumer, AsyncIterableIterator<Item, undefined> {
  readonly #source: Source<Message>;
  readonly #pull: Pull<Message, Item>;
  /** Messages until others get a turn. */
  #left = 0;
  #resting = false;
  #waiters: Waiter<Item>[] = [];
  #over = false;
  #error: SessionError | undefined;

  constructor(source: Source<Message>, pull: Pull<Message, Item>) {
    this.#source = source;
    this.#pull = pull;
    this.#left = source.settings.turns.first;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    this.#consume();
    if (this.#left <= 0) {
      this.#rest();
    } else if (this.#waiters.length === 0 && !this.#over) {
      const pulled = this.#pull(this.#source, this.#left);
      if (pulled !== null) {
        this.#left -= pulled.messages;
        return Promise.resolve({ value: pulled.item, done: false });
      }
      // Nothing is left: what was consumed is told now, and it may have been the last.
      this.#source.settled();
      if (this.#source.core.inbound.ended) this.#finish();
    }
    if (this.#over) return this.#last();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /** Leaving the loop: the last item counts as consumed, the session goes on, and another consumer may come. */
  return(): Promise<IteratorResult<Item, undefined>> {
    if (!this.#over) {
      this.#consume();
      this.#finish();
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  /** @internal Others had their turn. */
  rested(): void {
    this.#left = this.#source.settings.turns.next();
    this.#resting = false;
    this.wake();
  }

  wake(): void {
    // One turn may bring many chunks.
    if (this.#resting) return;
    while (this.#waiters.length > 0 && !this.#over) {
      if (this.#left <= 0) return this.#rest();
      const pulled = this.#pull(this.#source, this.#left);
      if (pulled === null) break;
      this.#left -= pulled.messages;
      this.#waiters.shift()?.resolve({ value: pulled.item, done: false });
      // Several next() calls wait: each consumes what was handed out before it.
      if (this.#waiters.length > 0) this.#consume();
    }
    // The peer has ended and everything was consumed; the session may live on in the other direction.
    if (this.#waiters.length > 0 && this.#source.core.inbound.ended) this.#finish();
  }

  ended(cause: SessionError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = cause;
    const waiters = this.#waiters.splice(0);
    waiters.forEach((waiter, i) => {
      if (i === 0 && cause !== undefined) {
        this.#error = undefined;
        waiter.reject(cause);
      } else {
        waiter.resolve({ value: undefined, done: true });
      }
    });
  }

  #rest(): void {
    if (!this.#resting) this.#source.settings.turns.rest(this);
    this.#resting = true;
  }

  #consume(): void {
    const { inbound } = this.#source.core;
    if (!inbound.inProgress) return;
    inbound.consume();
    this.#source.settleSoon();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#source.released(this);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ value: undefined, done: true });
  }

  #last(): Promise<IteratorResult<Item, undefined>> {
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }
}

export function pullOne<Message>(source: Source<Message>): { readonly item: Message; readonly messages: number } | null {
  if (!source.core.inbound.next()) return null;
  const taken = take(source);
  return taken === null ? null : { item: taken.message, messages: 1 };
}

export function pullBatch<Message>(
  source: Source<Message>,
  most: number,
): { readonly item: readonly Message[]; readonly messages: number } | null {
  const { inbound } = source.core;
  if (inbound.idle) return null;
  // What is here already, and never a wait for more.
  const batch = new Batch(inbound, Math.min(most, source.core.limits.batchMessages));
  inbound.inbox.each(batch);
  const { messages } = batch;
  if (messages.length > 0) return { item: messages, messages: messages.length };
  if (batch.failed) framingFailed(source, batch.error);
  return null;
}

class Batch<Message> implements Visitor {
  readonly messages: Message[] = [];
  readonly #inbound: Inbound<Message>;
  readonly #most: number = 0;
  #endOffset = 0;
  /** The first message could not be made. */
  failed = false;
  error: unknown;

  constructor(inbound: Inbound<Message>, most: number) {
    this.#inbound = inbound;
    this.#most = most;
    this.#endOffset = inbound.endOffset;
  }

  visit(buffer: Buffer, start: number, end: number): boolean {
    const inbound = this.#inbound;
    inbound.inProgress = true;
    try {
      this.messages.push(inbound.message(buffer, start, end));
    } catch (error) {
      // What stands in front of a fault is handed out first; the next call finds the fault again.
      if (this.messages.length > 0) inbound.inbox.back(buffer, start, end, this.#endOffset);
      else this.failed = true;
      this.error = error;
      return false;
    }
    this.#endOffset = inbound.endOffset;
    return this.messages.length < this.#most;
  }
}

/** receive(): one handler call at a time, consumed when it returns or its promise resolves. */
export class HandlerConsumer<Message> implements Consumer, Visitor {
  readonly #source: Source<Message>;
  readonly #inbound: Inbound<Message>;
  readonly #handler: (message: Message) => unknown;
  #resolved: (() => void) | null = null;
  #rejected: ((error: unknown) => void) | null = null;
  /** Messages until others get a turn: promises that are resolved already let nobody else run. */
  #left = 0;
  #busy = false;
  /** The handler of the last message goes on, or failed. */
  #held = false;
  #over = false;

  constructor(source: Source<Message>, handler: (message: Message) => unknown) {
    this.#source = source;
    this.#inbound = source.core.inbound;
    this.#handler = handler;
    this.#left = source.settings.turns.first;
  }

  wake(): void {
    if (this.#busy || this.#over || this.#inbound.idle) return;
    this.#busy = true;
    const { inbox } = this.#inbound;
    const from = inbox.endOffset;
    if (this.#left > 0) inbox.each(this);
    if (this.#held) return;
    this.#busy = this.#left === 0;
    if (this.#busy) this.#source.settings.turns.rest(this);
    if (inbox.endOffset > from) this.#source.settled();
  }

  visit(buffer: Buffer, start: number, end: number): boolean {
    const inbound = this.#inbound;
    inbound.inProgress = true;
    let message: Message;
    try {
      message = inbound.message(buffer, start, end);
    } catch (error) {
      this.#held = true;
      framingFailed(this.#source, error);
      return false;
    }
    let result: unknown;
    try {
      result = this.#handler(message);
    } catch (error) {
      this.#failed(error);
      return false;
    }
    this.#left--;
    if (isPromise(result)) {
      this.#await(result);
      return false;
    }
    inbound.consume();
    return this.#left > 0 && !this.#over;
  }

  /** @internal Others had their turn. */
  rested(): void {
    this.#left = this.#source.settings.turns.next();
    this.#busy = false;
    this.wake();
  }

  ended(): void {
    this.#over = true;
  }

  /** The handler goes on for a while; its message is consumed when it is done. */
  #await(result: PromiseLike<unknown>): void {
    this.#held = true;
    // Made for the first promise: most handlers return none, and every session would carry them.
    this.#resolved ??= (): void => {
      this.#held = false;
      this.#busy = false;
      if (this.#over) return;
      this.#inbound.consume();
      this.#source.settled();
      this.wake();
    };
    this.#rejected ??= (error: unknown): void => this.#failed(error);
    result.then(this.#resolved, this.#rejected);
  }

  #failed(error: unknown): void {
    this.#held = true;
    if (!this.#over) this.#source.applicationFailed(error);
  }
}

/** receiveRanges(): no object per message; the range is valid during the call. */
export class RangeConsumer<Message> implements Consumer, Visitor {
  readonly #source: Source<Message>;
  readonly #inbound: Inbound<Message>;
  readonly #handler: (buffer: Buffer, start: number, end: number) => void;
  #busy = false;
  #failed = false;
  #over = false;

  constructor(source: Source<Message>, handler: (buffer: Buffer, start: number, end: number) => void) {
    this.#source = source;
    this.#inbound = source.core.inbound;
    this.#handler = handler;
  }

  wake(): void {
    if (this.#busy || this.#over || this.#inbound.idle) return;
    this.#busy = true;
    const { inbox } = this.#inbound;
    const from = inbox.endOffset;
    inbox.each(this);
    if (this.#failed) return;
    this.#busy = false;
    if (inbox.endOffset > from) this.#source.settled();
  }

  visit(buffer: Buffer, start: number, end: number): boolean {
    const inbound = this.#inbound;
    inbound.inProgress = true;
    try {
      this.#handler(buffer, start, end);
    } catch (error) {
      this.#failed = true;
      this.#source.applicationFailed(error);
      return false;
    }
    inbound.consume();
    return !this.#over;
  }

  ended(): void {
    this.#over = true;
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
}
