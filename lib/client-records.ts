// ClientRecords: the dialing side of a store. A process that was killed left its session there, with what it had not sent; the next one
// takes it up under the same name. The record's generation is written before it is used, so that no two processes ever dial with one.

import type { Snapshot } from './core/snapshot.ts';
import { SESSION_ID_BYTES } from './core/wire.ts';
import type { DialerIdentity } from './dialer.ts';
import type { SessionDriver } from './driver.ts';
import { Durability } from './durability.ts';
import { fromText } from './durable/data.ts';
import { decodeIdentity, decodeState, encodeIdentity, snapshotOf } from './durable/record.ts';
import { SessionError } from './errors.ts';
import { invalid, type Settings } from './options.ts';
import { SessionKeys } from './security/keys.ts';
import type { Store, StoredRecord } from './stores/store.ts';
import { aborted } from './waiters.ts';

/** A session from the store, claimed for this process. */
export interface TakenUp<Message> {
  readonly snapshot: Snapshot;
  readonly identity: DialerIdentity;
  /** Reserved for its first circuit here. */
  readonly generation: number;
  readonly tie: (driver: SessionDriver<Message>) => void;
}

/** An open() does not wait longer for a store that does not answer. */
const TAKE_MS = 30_000;
const NOTHING = Buffer.alloc(0);

export class ClientRecords<Message> {
  readonly #durability: Durability;
  readonly #settings: Settings<Message>;
  /** Keys in use: a second session under one key would fence the first. */
  readonly #keys = new Map<SessionDriver<Message>, string>();

  constructor(store: Store, settings: Settings<Message>) {
    this.#durability = new Durability(store, 'commit', settings.runtime);
    this.#settings = settings;
  }

  /** @throws SessionError ERR_STORE, ERR_INVALID_OPTION for a key in use, ERR_FRAMING_MISMATCH */
  async take(key: string, signal: AbortSignal | undefined): Promise<TakenUp<Message> | null> {
    const id = recordId(key);
    if ([...this.#keys.values()].includes(id)) throw invalid('key', `${key} is in use by a session of this client`);
    const { store, owner } = this.#durability;
    await store.ready();
    for (;;) {
      if (signal?.aborted) throw aborted(signal);
      const found = await this.#durability.persist(() => store.find(id), TAKE_MS);
      if (found === undefined || found.ended) return null;
      const generation = found.record.generation + 1;
      const keepMs = this.#durability.keepMs(decodeState(found.record.state).holdMs);
      const judged = { positions: undefined, held: undefined, exclusive: false, keepMs };
      const request = { id, owner, generation, instance: generation, ...judged };
      const result = await this.#durability.persist(() => store.claim(request), TAKE_MS);
      if (result.status === 'claimed') return this.#takenUp(id, generation, result.claim, result.record as StoredRecord);
      // Another process was faster: then it is fenced in turn.
      if (result.status !== 'stale') return null;
    }
  }

  /** Begins the record of a session that was opened just now. */
  begin(driver: SessionDriver<Message>, identity: DialerIdentity, key: string | undefined): void {
    const { inbound, outbound } = driver.core;
    const sessionId = identity.id.toString('hex');
    const id = recordId(key ?? sessionId);
    const terms = { framing: this.#settings.framing.name, window: inbound.window, peerWindow: outbound.peerWindow };
    const who = { id: sessionId, keys: identity.keys.bytes(), bound: identity.bound, principal: undefined };
    const bytes = encodeIdentity({ ...who, ...terms, metadata: NOTHING, opened: '' });
    this.#durability.tie(driver, { id, identity: bytes, node: () => identity.node });
    this.#keys.set(driver, id);
    if (driver.durable?.kind === 'record') driver.durable.begin();
  }

  /** The session is over: there is nothing that a later process could take up. */
  ended(driver: SessionDriver<Message>): void {
    this.#keys.delete(driver);
    this.#durability.untie(driver);
    driver.durable?.end(NOTHING, 0);
  }

  #takenUp(id: string, generation: number, claim: { id: string; owner: string; tenure: number }, record: StoredRecord): TakenUp<Message> {
    const identity = decodeIdentity(record.identity);
    const state = decodeState(record.state);
    const { framing } = this.#settings;
    if (identity.framing !== framing.name)
      throw new SessionError('ERR_FRAMING_MISMATCH', `the record is framed by ${identity.framing}, this client by ${framing.name}`);
    const sessionId = Buffer.from(identity.id, 'hex');
    if (sessionId.length !== SESSION_ID_BYTES) throw new SessionError('ERR_STORE', `the record ${id} is of no session`);
    const dialer: DialerIdentity = { id: sessionId, keys: SessionKeys.from(identity.keys), bound: identity.bound, node: state.node };
    const data = fromText(state.data);
    const tie = (driver: SessionDriver<Message>): void => {
      this.#durability.tie(driver, { id, identity: record.identity, node: () => dialer.node }, { claim, record, data });
      this.#keys.set(driver, id);
    };
    return { snapshot: snapshotOf(record, identity, state), identity: dialer, generation, tie };
  }
}

/** Servers and clients may share a store: a session's id is the server's. */
function recordId(key: string): string {
  return `client:${key}`;
}
