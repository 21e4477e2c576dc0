// Passwords as scrypt hashes in PHC strings. In: a password, and a string of the user file. Out: whether they fit. At most two hashes are
// computed at once, so that logins cannot eat the machine, and a name that nobody has costs as much as one that somebody has.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** N = 2^log2N blocks of 128 × blockSize bytes, `parallel` times. */
export interface ScryptCost {
  readonly log2N: number;
  readonly blockSize: number;
  readonly parallel: number;
}

/** 32 MiB, three times: as strong as OWASP's first choice, in a quarter of its memory. */
export const defaultCost: ScryptCost = { log2N: 15, blockSize: 8, parallel: 3 };

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** A user file that asks for more is not obeyed. */
const MOST_LOG2N = 20;
const AT_ONCE = 2;
const MOST_WAITING = 64;
const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

interface Parsed {
  readonly cost: ScryptCost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export class Passwords {
  readonly #cost: ScryptCost;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(cost: ScryptCost = defaultCost) {
    this.#cost = cost;
  }

  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#derive(password, salt, this.#cost);
    const { log2N, blockSize, parallel } = this.#cost;
    return `$scrypt$ln=${log2N},r=${blockSize},p=${parallel}$${unpadded(salt)}$${unpadded(hash)}`;
  }

  /**
   * @param stored null where there is no such user: the work is done all the same.
   * @throws Error where more logins wait than this machine should have to bear
   */
  async verify(password: string, stored: string | null): Promise<boolean> {
    const parsed = stored === null ? null : parse(stored);
    const { cost, salt, hash } = parsed ?? { cost: this.#cost, salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES) };
    const derived = await this.#derive(password, salt, cost, hash.length);
    return timingSafeEqual(derived, hash) && parsed !== null;
  }

  /** The hash was made at another cost than today's: it is to be made anew at the next login, when the password is known. */
  isStale(stored: string): boolean {
    const cost = parse(stored)?.cost;
    const { log2N, blockSize, parallel } = this.#cost;
    return cost === undefined || cost.log2N !== log2N || cost.blockSize !== blockSize || cost.parallel !== parallel;
  }

  async #derive(password: string, salt: Buffer, cost: ScryptCost, bytes: number = HASH_BYTES): Promise<Buffer> {
    if (this.#running < AT_ONCE) {
      this.#running++;
    } else {
      if (this.#waiting.length >= MOST_WAITING) throw new Error('too many logins at once');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await derive(password, salt, cost, bytes);
    } finally {
      // The next one takes this one's place.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function derive(password: string, salt: Buffer, cost: ScryptCost, bytes: number): Promise<Buffer> {
  const N = 2 ** cost.log2N;
  const options = { N, r: cost.blockSize, p: cost.parallel, maxmem: 256 * N * cost.blockSize + 1_048_576 };
  return new Promise((resolve, reject) => {
    // NFKC, so that the same letters typed on another system are the same bytes.
    scrypt(password.normalize('NFKC'), salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function parse(stored: string): Parsed | null {
  const found = PHC.exec(stored);
  if (found === null) return null;
  const [log2N, blockSize, parallel] = [Number(found[1]), Number(found[2]), Number(found[3])];
  if (log2N < 1 || log2N > MOST_LOG2N || blockSize < 1 || blockSize > 16 || parallel < 1 || parallel > 16) return null;
  return {
    cost: { log2N, blockSize, parallel },
    salt: Buffer.from(found[4] as string, 'base64'),
    hash: Buffer.from(found[5] as string, 'base64'),
  };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
