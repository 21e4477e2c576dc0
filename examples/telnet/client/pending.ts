// What is typed while there is no circuit. It waits here and not in the session, so that it can still be thrown away: nobody wants an old
// `rm` to run minutes later, on a screen that they have not seen. In: typed bytes with their time. Out: the same, when it is their time.

/** Older than this is asked about before it is sent. */
export const ASK_ABOVE_MS = 60_000;
/** More than a person types. What is pasted beyond it is refused as a whole. */
export const PENDING_BYTES = 65_536;

export class Pending {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #oldestMs = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns false, and nothing is kept: it would be too much. */
  add(bytes: Buffer, now: number): boolean {
    if (this.#bytes + bytes.length > PENDING_BYTES) return false;
    if (this.#bytes === 0) this.#oldestMs = now;
    // stdin's buffers are its own.
    this.#chunks.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    return true;
  }

  /** Too old to be sent without a question. */
  asks(now: number): boolean {
    return this.#bytes > 0 && now - this.#oldestMs > ASK_ABOVE_MS;
  }

  /** How long ago the first of it was typed, in ms. */
  ageMs(now: number): number {
    return this.#bytes === 0 ? 0 : now - this.#oldestMs;
  }

  /** Gives all of it, and is empty. */
  take(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return all;
  }

  /** The end of it as a person can read it, in at most `columns` characters: Enter is ⏎, other controls are ^C and the like. */
  shown(columns: number): string {
    const text = [...Buffer.concat(this.#chunks).toString('utf8')].map(visible);
    let size = 0;
    let from = text.length;
    while (from > 0 && size + (text[from - 1] as string).length <= columns) size += (text[--from] as string).length;
    return from === 0 ? text.join('') : `…${text.slice(from + 1).join('')}`;
  }
}

function visible(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code === 0x0d || code === 0x0a) return '⏎';
  if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
  if (code === 0x7f) return '^?';
  // Only what is one column everywhere may stand in the status line.
  return (code > 0x7f && code < 0xa1) || code > 0x24f ? '·' : character;
}
