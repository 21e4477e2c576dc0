// Blocks of memory that outgoing bytes are encoded into, sent from and replayed from, and the pool they go back to.

/** Kept free in front of every region, so that `[ACK][DATA header]` can be filled in and written together with it. */
export const ROOM_BYTES = 32;
/** A first block is small, so that a session with one short message does not pin 64 KiB; a busy one gets large blocks. */
export const SMALL_SLAB_BYTES = 4096;
export const LARGE_SLAB_BYTES: number = 65_536 + ROOM_BYTES;

/** 4 MiB and 1 MiB. A session that asks and answers takes a small one for each message, and gives it back with the ACK. */
const POOLED_LARGE = 64;
const POOLED_SMALL = 256;
const large: Slab[] = [];
const small: Slab[] = [];

export class Slab {
  readonly buffer: Buffer;
  /** Sealed regions still needed, plus one while a session writes into it. */
  uses = 0;
  /**
   * A region was written to more than one circuit, so that a socket may still hold it after its bytes were acked.
   * Such memory is left to the garbage collector: reused, it could leak one session's bytes into another's connection.
   */
  tainted = false;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }
}

export function takeSlab(busy: boolean): Slab {
  return (busy ? large : small).pop() ?? new Slab(busy ? LARGE_SLAB_BYTES : SMALL_SLAB_BYTES);
}

/** Ends one use. `recyclable`: no socket holds bytes of it any more. */
export function releaseSlab(slab: Slab, recyclable: boolean): void {
  slab.uses--;
  if (!recyclable) slab.tainted = true;
  if (slab.uses > 0 || slab.tainted) return;
  const { length } = slab.buffer;
  if (length === LARGE_SLAB_BYTES && large.length < POOLED_LARGE) large.push(slab);
  else if (length === SMALL_SLAB_BYTES && small.length < POOLED_SMALL) small.push(slab);
}
