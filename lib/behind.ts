// Behind: what a dialing side may write behind its first flight before the verdict: a ticket, early data and PROOF, or CONFIRM.
// Chunks go in; the awaited MAC and the early data come out. Bounded: a stranger must not make the server hold more.
import type { TicketNotice } from './core/handshake.ts';
import { FRAME_HEADER_BYTES, Frame, MAC_BYTES, MAX_EARLY_DATA_BYTES, TICKET_HEADER_BYTES } from './core/wire.ts';
import { SessionError } from './errors.ts';

const MAC_FRAME_BYTES = FRAME_HEADER_BYTES + MAC_BYTES;
const TICKET_FRAME_BYTES = FRAME_HEADER_BYTES + TICKET_HEADER_BYTES;
/** Early data and PROOF. */
const BEHIND_RESUME_BYTES = MAX_EARLY_DATA_BYTES + MAC_FRAME_BYTES;

export class Behind {
  #bytes: Buffer = EMPTY;
  // Bytes of the ticket frame that comes first; 0: none does, or it is there.
  #ticketBytes = 0;
  #ticket: Buffer | undefined;
  // End of the last whole frame of early data.
  #scanned = 0;

  /** Everything so far. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** A ticket that RESUME has announced stands in front of everything else. */
  expectTicket(notice: TicketNotice | undefined): void {
    if (notice !== undefined) this.#ticketBytes = TICKET_FRAME_BYTES + notice.length;
  }

  /** The ticket that was expected is not whole. */
  get waits(): boolean {
    return this.#ticketBytes > 0;
  }

  get ticket(): Buffer | undefined {
    return this.#ticket;
  }

  /** Keeps what came behind a RESUME. @throws SessionError ERR_PROTOCOL for too much, and for what is neither DATA nor END nor PROOF */
  add(chunk: Buffer): void {
    if (this.#bytes.length + chunk.length > this.#ticketBytes + BEHIND_RESUME_BYTES) {
      throw new SessionError('ERR_PROTOCOL', `more than ${BEHIND_RESUME_BYTES} bytes before the verdict (R-3)`);
    }
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#ticketBytes > 0 && !this.#takeTicket()) return;
    const bytes = this.#bytes;
    while (this.#scanned < bytes.length) {
      const at = this.#scanned;
      const type = bytes[at];
      if (type === Frame.PROOF) return;
      if (type !== Frame.DATA && type !== Frame.END)
        throw new SessionError('ERR_PROTOCOL', `frame of type ${type} before the verdict (R-3)`);
      if (bytes.length - at < FRAME_HEADER_BYTES) return;
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at + 1, 3);
      if (end > MAX_EARLY_DATA_BYTES) throw new SessionError('ERR_PROTOCOL', `early data of ${end} bytes (R-3)`);
      if (end > bytes.length) return;
      this.#scanned = end;
    }
  }

  #takeTicket(): boolean {
    const bytes = this.#bytes;
    const length = this.#ticketBytes - FRAME_HEADER_BYTES;
    const strange = bytes.length > 0 && bytes[0] !== Frame.TICKET;
    if (strange || (bytes.length >= FRAME_HEADER_BYTES && bytes.readUIntBE(1, 3) !== length))
      throw new SessionError('ERR_PROTOCOL', 'another frame where a TICKET was announced (E-7)');
    if (bytes.length < this.#ticketBytes) return false;
    this.#ticket = Buffer.from(bytes.subarray(TICKET_FRAME_BYTES, this.#ticketBytes));
    this.#bytes = Buffer.from(bytes.subarray(this.#ticketBytes));
    this.#ticketBytes = 0;
    return true;
  }

  /** Looks for CONFIRM, which must come first; what stands behind it is the session's. @returns null until it is whole */
  confirm(chunk: Buffer): { readonly mac: Buffer; readonly rest: Buffer } | null {
    const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!begins(bytes, 0, Frame.CONFIRM)) throw new SessionError('ERR_PROTOCOL', 'the first frame of a session is not CONFIRM (O-7)');
    if (bytes.length < MAC_FRAME_BYTES) {
      // Not a view: the chunk is its giver's.
      this.#bytes = Buffer.from(bytes);
      return null;
    }
    return { mac: bytes.subarray(FRAME_HEADER_BYTES, MAC_FRAME_BYTES), rest: bytes.subarray(MAC_FRAME_BYTES) };
  }

  /** Looks for PROOF behind the early data, and takes it out. @returns its MAC, or null until it is whole */
  proof(): Buffer | null {
    const bytes = this.#bytes;
    const at = this.#scanned;
    if (bytes[at] !== Frame.PROOF) return null;
    if (!begins(bytes, at, Frame.PROOF)) throw new SessionError('ERR_PROTOCOL', 'a PROOF of another length (F-5)');
    if (bytes.length - at < MAC_FRAME_BYTES) return null;
    if (bytes.length - at > MAC_FRAME_BYTES) throw new SessionError('ERR_PROTOCOL', 'bytes behind PROOF before the verdict (R-13)');
    this.#bytes = Buffer.from(bytes.subarray(0, at));
    return bytes.subarray(at + FRAME_HEADER_BYTES);
  }
}

/** Whether bytes[at, …) are the front of such a frame with a mac, as far as they go: a wrong one is known before it is whole. */
function begins(bytes: Buffer, at: number, type: number): boolean {
  if (at < bytes.length && bytes[at] !== type) return false;
  return bytes.length - at < FRAME_HEADER_BYTES || bytes.readUIntBE(at + 1, 3) === MAC_BYTES;
}

const EMPTY = Buffer.alloc(0);
