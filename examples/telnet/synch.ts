// Repairs a stream whose TCP urgent byte was taken out. In: chunks as read() gave them. Out: chunks for the telnet decoder. Node leaves
// SO_OOBINLINE off, so Linux drops the last byte of a Synch (IAC DM): its DM, or with GNU telnet, which marks one byte less, its IAC.
// read() stops at the mark, so the hole is always between two chunks. Only for sessions in UTF-8, where FF and F5 to FE never are user
// data.

import { Command, IAC } from './protocol.ts';

type Place = 'data' | 'iac' | 'option' | 'body' | 'body-iac';

/** Without an inherited SO_OOBINLINE, pass every chunk through one of these in front of the decoder. */
export class SynchRepair {
  #place: Place = 'data';
  #repairs = 0;

  /** How many urgent bytes were put back. */
  get repairs(): number {
    return this.#repairs;
  }

  /** @returns the chunk, or a copy with the missing byte in front. */
  repair(chunk: Buffer): Buffer {
    const missing = this.#missing(chunk);
    if (missing < 0) {
      this.#follow(chunk);
      return chunk;
    }
    this.#repairs++;
    const whole = Buffer.allocUnsafe(chunk.length + 1);
    whole[0] = missing;
    whole.set(chunk, 1);
    this.#follow(whole);
    return whole;
  }

  /** @returns the byte that was taken out in front of this chunk, or -1. */
  #missing(chunk: Buffer): number {
    const first = chunk[0];
    if (first === undefined) return -1;
    if (this.#place === 'iac') {
      // An IAC and then no command, or a whole command: the DM of the first is gone. IAC IAC IAC may be doubled user data that was cut.
      if (first < Command.eof) return Command.dataMark;
      const second = chunk[1];
      return first === IAC && second !== undefined && second >= Command.eof && second !== IAC ? Command.dataMark : -1;
    }
    if (this.#place === 'data' && first === Command.dataMark && !beginsCharacter(chunk)) return IAC;
    return -1;
  }

  #follow(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at++) {
      if (this.#place === 'data' || this.#place === 'body') {
        const hit = chunk.indexOf(IAC, at);
        if (hit < 0) return;
        at = hit;
        this.#place = this.#place === 'data' ? 'iac' : 'body-iac';
      } else {
        this.#place = behind(this.#place, chunk[at] as number);
      }
    }
  }
}

/** Where the byte after this one falls, by the rules of the decoder. */
function behind(place: Place, byte: number): Place {
  if (place === 'option') return 'data';
  if (place === 'body-iac' && byte === IAC) return 'body';
  if (byte === Command.sb) return 'body';
  return byte >= Command.will && byte <= Command.dont ? 'option' : 'data';
}

/**
 * F2 begins a character of UTF-8 if three continuation bytes follow, as far as the chunk tells; a DM that lost its IAC stands alone or
 * before text.
 */
function beginsCharacter(chunk: Buffer): boolean {
  if (chunk.length === 1) return false;
  for (let at = 1; at < Math.min(4, chunk.length); at++) {
    const byte = chunk[at] as number;
    if (byte < 0x80 || byte > 0xbf) return false;
  }
  return true;
}
