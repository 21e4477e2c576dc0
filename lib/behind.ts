// Behind: what a dialing side may write behind its first flight before the verdict: early data and PROOF, or CONFIRM.
// Chunks go in; the awaited MAC and the early data come out. Bounded: a stranger must not make the server hold more.
import { FRAME_HEADER_BYTES, Frame, MAC_BYTES, MAX_EARLY_DATA_BYTES } from './core/wire.ts';
import { SessionError } from './errors.ts';

const MAC_FRAME_BYTES = FRAME_HEADER_BYTES + MAC_BYTES;
/** Early data and PROOF. */
const BEHIND_RESUME_BYTES = MAX_EARLY_DATA_BYTES + MAC_FRAME_BYTES;

export class Behind {
  #bytes: Buffer = Buffer.alloc(0);
  // Where the search for PROOF has got to.
  #scanned = 0;

  /** Everything so far. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Keeps what came behind a RESUME. @throws SessionError ERR_PROTOCOL above the limit */
  add(chunk: Buffer): void {
    if (this.#bytes.length + chunk.length > BEHIND_RESUME_BYTES) {
      throw new SessionError('ERR_PROTOCOL', `more than ${BEHIND_RESUME_BYTES} bytes before the verdict`);
    }
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
  }

  /** Looks for CONFIRM, which must come first; what stands behind it is the session's. @returns null until it is whole */
  confirm(chunk: Buffer): { readonly mac: Buffer; readonly rest: Buffer } | null {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const bytes = this.#bytes;
    if (bytes.length < MAC_FRAME_BYTES) return null;
    if (bytes[0] !== Frame.CONFIRM || bytes.readUIntBE(1, 3) !== MAC_BYTES) {
      throw new SessionError('ERR_PROTOCOL', 'the first frame of a session is not CONFIRM');
    }
    return { mac: bytes.subarray(FRAME_HEADER_BYTES, MAC_FRAME_BYTES), rest: bytes.subarray(MAC_FRAME_BYTES) };
  }

  /** Looks for PROOF behind the early data, and takes it out. @returns its MAC, or null until it is whole */
  proof(): Buffer | null {
    const bytes = this.#bytes;
    while (bytes.length - this.#scanned >= FRAME_HEADER_BYTES) {
      const at = this.#scanned;
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at + 1, 3);
      if (end > BEHIND_RESUME_BYTES) throw new SessionError('ERR_PROTOCOL', 'a frame too long for early data');
      if (end > bytes.length) return null;
      this.#scanned = end;
      const type = bytes[at];
      if (type === Frame.DATA || type === Frame.END) continue;
      if (type !== Frame.PROOF) throw new SessionError('ERR_PROTOCOL', `frame of type ${type} before the verdict`);
      if (end < bytes.length) throw new SessionError('ERR_PROTOCOL', 'bytes behind PROOF before the verdict');
      this.#bytes = Buffer.from(bytes.subarray(0, at));
      return bytes.subarray(at + FRAME_HEADER_BYTES, end);
    }
    return null;
  }
}
