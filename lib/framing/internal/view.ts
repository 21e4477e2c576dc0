// The Buffer that hands a message out, in the memory it came in. A session makes one for each message, and subarray() costs more than all
// the rest of its way: two thirds of that are spent on looking up the ArrayBuffer, which is the same for a whole chunk of messages.

/** What subarray() calls in the end (ECMA-262, TypedArraySpeciesCreate): makes a Buffer of a piece of an ArrayBuffer. */
const FastBuffer = (
  Buffer as unknown as { readonly [Symbol.species]: new (memory: ArrayBufferLike, start: number, bytes: number) => Buffer }
)[Symbol.species];

// Of the buffer looked at last: one for the process, so that sessions at rest pin none of their own.
let viewed: Buffer = Buffer.alloc(0);
let memory: ArrayBufferLike = viewed.buffer;
let base = 0;

/** bytes[start, end) without a copy; the range must lie in it. */
export function view(buffer: Buffer, start: number, end: number): Buffer {
  if (buffer !== viewed) {
    viewed = buffer;
    memory = buffer.buffer;
    base = buffer.byteOffset;
  }
  return new FastBuffer(memory, base + start, end - start);
}
