// Questions and answers with a client before it has a shell. In: what it types. Out: lines. What is typed ahead is kept for the next
// question, and at last for the shell.

import { Command } from '../protocol.ts';
import type { WindowSize } from '../subnegotiation.ts';
import type { Receiver, TelnetConnection } from './connection.ts';
import { LineEditor } from './line-editor.ts';

/** Typed ahead of the questions: beyond it the client waits. */
const TYPED_AHEAD_BYTES = 16_384;
/** "Are you there" costs an answer: so many of them in all. */
const MOST_ANSWERS = 32;

export class Prompter implements Receiver {
  readonly #connection: TelnetConnection;
  readonly #editor: LineEditor = new LineEditor();
  readonly #typed: Buffer[] = [];
  #typedBytes = 0;
  #question: { readonly hidden: boolean; readonly answer: (line: string | null) => void } | null = null;
  #onRoom: (() => void) | null = null;
  #answers = 0;
  #over = false;

  constructor(connection: TelnetConnection) {
    this.#connection = connection;
  }

  /**
   * Asks, and waits for a line.
   * @param hidden nothing of the answer is shown
   * @returns null: the client went away, or typed ^C
   */
  async ask(question: string, hidden = false): Promise<string | null> {
    if (this.#connection.over) return null;
    this.#connection.say(question);
    return new Promise((resolve) => {
      const answer = (line: string | null): void => {
        this.#question = null;
        resolve(line);
      };
      this.#question = { hidden, answer };
      this.#edit();
    });
  }

  /** Ends the questions. @returns what was typed behind the last answer */
  rest(): Buffer {
    const rest = Buffer.concat(this.#typed);
    this.#typed.length = 0;
    this.#typedBytes = 0;
    this.#tellRoom();
    return rest;
  }

  /** Nobody waits any longer. */
  abort(): void {
    this.#over = true;
    this.#question?.answer(null);
    this.#tellRoom();
  }

  typed(bytes: Buffer): Promise<void> | undefined {
    this.#typed.push(bytes);
    this.#typedBytes += bytes.length;
    this.#edit();
    if (this.#typedBytes <= TYPED_AHEAD_BYTES || this.#over) return undefined;
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  /** Before there is a terminal, erasing has nothing to erase but the line (CVE-2022-39028). */
  commanded(number: number): void {
    if (number === Command.eraseCharacter) this.#show(this.#editor.eraseCharacter());
    else if (number === Command.eraseLine) this.#show(this.#editor.eraseLine());
    else if (number === Command.interrupt || number === Command.brk) this.#question?.answer(null);
    else if (number === Command.areYouThere && this.#answers++ < MOST_ANSWERS) this.#connection.say('\n[yes, at the login]\n');
  }

  resized(_size: WindowSize): void {}

  drained(): void {}

  ended(over: boolean): void {
    // Of half an end the lines that came before it still count.
    if (over || this.#typedBytes === 0) this.abort();
    else this.#over = true;
  }

  #edit(): void {
    while (this.#question !== null) {
      const bytes = this.#typed.shift();
      if (bytes === undefined) break;
      const { typed, echo, next } = this.#editor.take(bytes, 0);
      this.#typedBytes -= next;
      if (next < bytes.length) this.#typed.unshift(bytes.subarray(next));
      this.#show(echo);
      if (typed.kind === 'more') continue;
      const { answer } = this.#question;
      if (this.#connection.echoes || !this.#connection.negotiates) this.#connection.say('\n');
      answer(typed.kind === 'line' ? typed.text : null);
    }
    if (this.#question !== null && this.#over) this.#question.answer(null);
    if (this.#typedBytes <= TYPED_AHEAD_BYTES) this.#tellRoom();
  }

  /** Only where the client has left that to us; else its user sees it already. */
  #show(echo: string): void {
    if (echo !== '' && this.#question?.hidden === false && this.#connection.echoes) this.#connection.write(Buffer.from(echo, 'latin1'));
  }

  #tellRoom(): void {
    this.#onRoom?.();
    this.#onRoom = null;
  }
}
