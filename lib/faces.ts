// Faces: the sessions of a map of entries, by id, as the application may see them. A view: in a second map each would have an entry more.
import type { Session } from './session.ts';

export class Faces<Message> implements ReadonlyMap<string, Session<Message>> {
  readonly #entries: ReadonlyMap<string, { readonly session: Session<Message> }>;

  constructor(entries: ReadonlyMap<string, { readonly session: Session<Message> }>) {
    this.#entries = entries;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): Session<Message> | undefined {
    return this.#entries.get(id)?.session;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  forEach(callback: (session: Session<Message>, id: string, map: ReadonlyMap<string, Session<Message>>) => void, self?: unknown): void {
    for (const [id, { session }] of this.#entries) callback.call(self, session, id, this);
  }

  keys(): MapIterator<string> {
    return this.#entries.keys();
  }

  *values(): MapIterator<Session<Message>> {
    for (const { session } of this.#entries.values()) yield session;
  }

  *entries(): MapIterator<[string, Session<Message>]> {
    for (const [id, { session }] of this.#entries) yield [id, session];
  }

  [Symbol.iterator](): MapIterator<[string, Session<Message>]> {
    return this.entries();
  }
}
