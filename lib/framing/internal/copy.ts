// Copies the bytes of one message: into the block that is being filled, from the array of the application.

// Looked up once: V8 keeps these prototypes as dictionaries, and to find the method there costs a third of a small copy.
const { set } = Uint8Array.prototype;

/** Writes all of `source` at out[at). There must be room. */
export function copyInto(out: Uint8Array, source: Uint8Array, at: number): void {
  set.call(out, source, at);
}
