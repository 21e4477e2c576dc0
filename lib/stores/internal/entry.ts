// A record as bytes, for stores that keep it as one value: header, fixed identity and state go in and come out. Its outgoing bytes stand
// elsewhere, so that a commit does not write them again.
import { SessionError } from '../../errors.ts';
import type { Header } from './rules.ts';

export interface Entry {
  readonly header: Header;
  /** Wall clock, milliseconds since 1970: from then on it counts as gone. */
  readonly untilMs: number;
  readonly identity: Buffer;
  readonly state: Buffer;
  /** Not null: it has ended. */
  readonly tombstone: Buffer | null;
}

export function encodeEntry(entry: Entry): Buffer {
  const { header, identity, state, tombstone } = entry;
  const owner = Buffer.from(header.owner, 'utf8');
  const rest = tombstone ?? state;
  const ownerAt = 2 + 8 * NUMBERS;
  const bytes = Buffer.allocUnsafe(ownerAt + 2 + owner.length + 4 + identity.length + rest.length);
  bytes[0] = LAYOUT;
  bytes[1] = (header.live ? LIVE : 0) | (tombstone === null ? 0 : ENDED);
  const { generation, instance, commit, received, base, sent, tenure } = header;
  // As doubles: every whole number up to 2^53-1 is one.
  const numbers = [generation, instance, commit, received, base, sent, tenure, entry.untilMs];
  for (const [i, number] of numbers.entries()) bytes.writeDoubleBE(number, 2 + 8 * i);
  bytes.writeUInt16BE(owner.length, ownerAt);
  bytes.set(owner, ownerAt + 2);
  bytes.writeUInt32BE(identity.length, ownerAt + 2 + owner.length);
  bytes.set(identity, ownerAt + 6 + owner.length);
  bytes.set(rest, ownerAt + 6 + owner.length + identity.length);
  return bytes;
}

/** @throws SessionError ERR_STORE for the layout of a later version. */
export function decodeEntry(bytes: Buffer): Entry {
  if (bytes[0] !== LAYOUT) throw new SessionError('ERR_STORE', `a record of layout ${bytes[0]}, this version writes ${LAYOUT}`);
  const number = (i: number): number => bytes.readDoubleBE(2 + 8 * i);
  const ownerAt = 4 + 8 * NUMBERS;
  const ownerEnd = ownerAt + bytes.readUInt16BE(ownerAt - 2);
  const identityEnd = ownerEnd + 4 + bytes.readUInt32BE(ownerEnd);
  const flags = bytes[1] as number;
  const rest = bytes.subarray(identityEnd);
  const header: Header = {
    generation: number(0),
    instance: number(1),
    commit: number(2),
    received: number(3),
    base: number(4),
    sent: number(5),
    tenure: number(6),
    owner: bytes.toString('utf8', ownerAt, ownerEnd),
    live: (flags & LIVE) !== 0,
  };
  const ended = (flags & ENDED) !== 0;
  return {
    header,
    untilMs: number(7),
    identity: bytes.subarray(ownerEnd + 4, identityEnd),
    state: ended ? bytes.subarray(identityEnd, identityEnd) : rest,
    tombstone: ended ? rest : null,
  };
}

const LAYOUT = 1;
const NUMBERS = 8;
const LIVE = 1;
const ENDED = 2;
