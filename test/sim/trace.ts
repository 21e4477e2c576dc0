// What happened in a world, as one number that must come out the same for the same seed, and as lines for people who replay a seed.

export class Trace {
  /** Lines are kept only when somebody will read them. */
  readonly lines: string[] | null;
  #hash = 0x811c9dc5;

  constructor(verbose: boolean) {
    this.lines = verbose ? [] : null;
  }

  get hash(): number {
    return this.#hash >>> 0;
  }

  /** Notes an event. Keys and MACs differ from run to run, so no bytes of a handshake may get in here, only lengths. */
  note(atMs: number, who: string, what: string, number: number = 0): void {
    let hash = this.#hash;
    for (let i = 0; i < who.length; i++) hash = Math.imul(hash ^ who.charCodeAt(i), 0x01000193);
    for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ (number | 0), 0x01000193);
    this.#hash = Math.imul(hash ^ Math.round(atMs * 1000), 0x01000193);
    if (this.lines !== null) this.#line(atMs, who, number === 0 ? what : `${what} ${number}`);
  }

  /** Something only people care for. */
  say(atMs: number, who: string, text: () => string): void {
    if (this.lines !== null) this.#line(atMs, who, text());
  }

  #line(atMs: number, who: string, text: string): void {
    this.lines?.push(`${atMs.toFixed(2).padStart(11)} ${who.padEnd(14)} ${text}`);
  }
}
