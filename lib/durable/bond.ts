// Bond: boundaries of several sessions that are stored at one instant, or none of them. Sessions go in; one write of them all comes out
// once each has no message in progress. What breaks one of them before that ends the others here too: their records know nothing of it.
import { SessionError } from '../errors.ts';
import type { Store, Write, WriteResult } from '../stores/store.ts';
import type { Boundary } from './boundary.ts';

/** A session's committer, as far as bonds need it. */
export interface Bonded {
  readonly store: Store;
  readonly holdsBack: boolean;
  /** A boundary could be captured now. */
  readonly quiet: boolean;
  /** Bonds that are not stored yet, oldest first: they are stored in this order. */
  readonly bonds: readonly Bond[];
  /** From here on nothing newer than what was captured is stored without this bond. */
  join(bond: Bond): void;
  capture(): void;
  /** Resolves when nothing else is done with the record; call what it gives to let the next one. */
  turn(): Promise<() => void>;
  writeOf(boundary: Boundary): Write;
  /** Calls until there is an answer. undefined: the session ended meanwhile. */
  repeat<T>(call: () => Promise<T>): Promise<T | undefined>;
  /** The bond is stored. */
  written(bond: Bond, boundary: Boundary): void;
  /** Its write was refused, or could have been done. */
  refused(result: WriteResult): void;
  /** Ends here, without a word to its peer: it goes on from its record. */
  letGo(error: SessionError): void;
}

export class Bond {
  readonly #members: readonly Bonded[];
  readonly #parts = new Map<Bonded, Boundary>();
  /** Its turn has been asked for: nothing may be in front of it. */
  #going = false;
  /** What is written is fixed. */
  #writing = false;
  #broken = false;

  constructor(members: readonly Bonded[]) {
    this.#members = members;
  }

  /** Asks every member for a boundary. A bond of the same sessions that is not being written yet takes these instead: one write. */
  begin(): void {
    const before = this.#members[0]?.bonds.at(-1);
    if (before?.replaces(this.#members) === true) return before.#ask();
    for (const member of this.#members) member.join(this);
    this.#ask();
  }

  awaits(member: Bonded): boolean {
    return !this.#parts.has(member);
  }

  /** A boundary of one member that has come behind begin(). */
  offer(member: Bonded, boundary: Boundary): void {
    if (!this.awaits(member)) return;
    this.#parts.set(member, boundary);
    this.advance();
  }

  /** Goes to the store once all are there, and no older bond of any of them waits. */
  advance(): void {
    if (this.#going || this.#parts.size < this.#members.length || this.#members.some(({ bonds }) => bonds[0] !== this)) return;
    this.#going = true;
    void this.#go();
  }

  /** A member has ended or was fenced: what the others have done since is tied to what will never be stored. */
  break(): void {
    if (this.#broken) return;
    this.#broken = true;
    for (const member of this.#members)
      member.letGo(new SessionError('ERR_FENCED', 'a session that it was committed with ended, or was fenced, before that was stored'));
  }

  replaces(members: readonly Bonded[]): boolean {
    const same = members.length === this.#members.length && members.every((member) => member.bonds.at(-1) === this);
    return same && !this.#writing && members.every(({ quiet }) => quiet);
  }

  #ask(): void {
    this.#parts.clear();
    for (const member of this.#members) member.capture();
  }

  async #go(): Promise<void> {
    const leave = await Promise.all(this.#members.map((member) => member.turn()));
    this.#writing = true;
    const parts = this.#members.map((member) => ({ member, boundary: this.#parts.get(member) as Boundary }));
    while (!this.#broken && !(await this.#write(parts)));
    for (const left of leave) left();
  }

  /** @returns whether it is stored */
  async #write(parts: readonly { readonly member: Bonded; readonly boundary: Boundary }[]): Promise<boolean> {
    const [first] = this.#members as [Bonded];
    const { store } = first;
    const writes = parts.map(({ member, boundary }) => member.writeOf(boundary));
    const results = await first.repeat(() => store.commitAll?.(writes) as Promise<readonly WriteResult[]>);
    if (results === undefined || this.#broken) return false;
    if (!results.every(({ status }) => status === 'done')) {
      for (const [i, { member }] of parts.entries()) member.refused(results[i] as WriteResult);
      return false;
    }
    for (const { member, boundary } of parts) member.written(this, boundary);
    for (const { member } of parts) member.bonds[0]?.advance();
    return true;
  }
}

/** @throws SessionError ERR_INVALID_OPTION where these cannot be stored together; then nothing has changed */
export function bondOf(first: Bonded | null, others: readonly (Bonded | null)[]): Bond {
  const members = new Set<Bonded>();
  for (const member of [first, ...others]) {
    if (first === null || member === null || !member.holdsBack || member.store !== first.store)
      throw refused("must be sessions with durability 'commit' and the same store object");
    members.add(member);
  }
  if (first?.store.commitAll === undefined) throw refused('needs a store that can write several records at one instant: docs/stores.md');
  return new Bond([...members]);
}

function refused(what: string): SessionError {
  return new SessionError('ERR_INVALID_OPTION', `option with ${what}`);
}
