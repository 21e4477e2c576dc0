// Blocks of memory that outgoing bytes are encoded into, sent from and replayed from, and the pool they go back to.

/** Kept free in front of every region, so that `[ACK][DATA header]` can be filled in and written together with it. */
export const ROOM_BYTES = 32;
/** A first block is small, so that a session with one short message does not pin 64 KiB; a busy one gets large blocks. */
export const SMALL_SLAB_BYTES = 4096;
export const LARGE_SLAB_BYTES: number = 65_536 + ROOM_BYTES;

const POOLED_SLABS = 64;
const pool: Slab[] = [];

export class Slab {
  readonly buffer: Buffer;
  /** Sealed regions still needed, plus one while a session writes into it. */
  uses: number;
  /**
   * A region was written to more than one circuit, so that a socket may still hold it after its bytes were acked.
   * Such memory is left to the garbage collector: reused, it could leak one session's bytes into another's connection.
   */
  tainted: boolean;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.uses = 0;
    this.tainted = false;
  }
}

export function takeSlab(large: boolean): Slab {
  if (!large) return new Slab(SMALL_SLAB_BYTES);
  const slab = pool.pop();
  if (slab === undefined) return new Slab(LARGE_SLAB_BYTES);
  return slab;
}

/** Ends one use. `recyclable`: no socket holds bytes of it any more. */
export function releaseSlab(slab: Slab, recyclable: boolean): void {
  slab.uses--;
  if (!recyclable) slab.tainted = true;
  if (slab.uses > 0 || slab.tainted || slab.buffer.length !== LARGE_SLAB_BYTES || pool.length >= POOLED_SLABS) return;
  pool.push(slab);
}
