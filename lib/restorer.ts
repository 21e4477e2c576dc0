// Restorer: how an accepting process takes sessions from its store. A RESUME goes in; out comes a session that lives here, claimed for
// that circuit, or the refusal. Claims of one session run one at a time, and are seen through even where their circuit has gone.
import { type AdoptionOptions, adopt, identityOf, knownOf } from './adoption.ts';
import type { CircuitInfo } from './circuit.ts';
import type { Positions, ResumeFlight } from './core/handshake.ts';
import { judgeGeneration, type Refusal } from './core/resume.ts';
import { RejectCode } from './core/wire.ts';
import type { SessionDriver } from './driver.ts';
import { asError, type Durability } from './durability.ts';
import { fromText } from './durable/data.ts';
import {
  decodeIdentity,
  decodeState,
  decodeTombstone,
  encodeIdentity,
  encodeTombstone,
  type RecordIdentity,
  snapshotOf,
} from './durable/record.ts';
import { OneByOne } from './one-by-one.ts';
import { addressOf } from './peering.ts';
import type { Known, Live, Tombstone } from './registry.ts';
import type { Claim, ClaimResult, StoredRecord } from './stores/store.ts';

export interface RestorerOptions<Message> extends AdoptionOptions<Message> {
  readonly durability: Durability;
  readonly node: number;
}

/** A claim whose circuit has gone is seen through for so long: half a claim would keep others out. */
const CLAIM_MS = 60_000;
/** The next dial, where the record is live in another process. */
const LIVE_RETRY_MS = 2_000;

export class Restorer<Message> {
  readonly #options: RestorerOptions<Message>;
  readonly #claims = new OneByOne();
  #stopped = false;

  constructor(options: RestorerOptions<Message>) {
    this.#options = options;
  }

  /** Looks a session up that is not here. @param circuit that asks. @throws SessionError ERR_STORE */
  async recall(id: string, circuit: CircuitInfo): Promise<Known | undefined> {
    const found = await this.#options.durability.store.find(id).catch((error: unknown) => {
      throw asError(error);
    });
    if (found === undefined) return undefined;
    if (found.ended) return this.#bury(id, found.tombstone, circuit);
    return this.#knownOf(decodeIdentity(found.record.identity), circuit);
  }

  /** Claims the session for a RESUME whose MAC was good. @returns null where the fencing step may decide, by what is here now */
  claim(id: string, flight: ResumeFlight, circuit: CircuitInfo): Promise<Refusal | null> {
    if (this.#stopped) return Promise.resolve(LATER);
    return this.#claims.run(id, () => this.#claim(id, flight, circuit));
  }

  /** The circuit that a session was claimed for carries it, or has gone. */
  judged(id: string, generation: number): void {
    const durable = this.#options.registry.live.get(id)?.driver.durable;
    if (durable?.kind === 'record') durable.judged(generation);
  }

  /** Nothing is claimed any more. Resolves when what was being claimed is here. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#claims.idle();
  }

  /** Begins the record of a session that was opened here. */
  tie(entry: Live<Message>): void {
    const { durability, node } = this.#options;
    durability.tie(entry.driver, { id: entry.session.id, identity: encodeIdentity(identityOf(entry)), node: () => node });
    const { durable } = entry.driver;
    if (durable?.kind === 'record') durable.begin(durability.leased());
  }

  /** The session has ended for good: every process answers with its tombstone. */
  entomb(entry: Live<Message>, tombstone: Omit<Tombstone, 'untilMs'>, keepMs: number): void {
    const { generation, instance, cause, finals } = tombstone;
    const bytes = encodeTombstone({ generation, instance, cause, finals, identity: identityOf(entry) });
    entry.driver.durable?.end(bytes, keepMs);
  }

  async #claim(id: string, flight: ResumeFlight, circuit: CircuitInfo): Promise<Refusal | null> {
    const { registry, settings } = this.#options;
    const entry = registry.live.get(id);
    if (entry !== undefined) {
      const { core, durable } = entry.driver;
      if (durable?.kind !== 'record') return null;
      // What memory refuses is not claimed, since that would change the record; but memory may be that of an owner long fenced.
      const refused = judgeGeneration(core, flight) !== 0 || core.judge(flight.positions) !== null;
      const result = refused ? undefined : await durable.reclaim(flight.generation, flight.instance);
      if (result?.status === 'stale') return stale(result, flight);
      // Otherwise it is not here any more, and claimed like any other below.
      if (refused ? await durable.confirm() : result?.status === 'claimed') return null;
    }
    const now = settings.runtime.now();
    const here = registry.live.has(id) || registry.findProvisional(id, now) !== undefined || registry.findTombstone(id, now) !== undefined;
    // What this process has just let go of may be ahead of its record, which it would be given as its own.
    if (this.#stopped && !here) return LATER;
    return here ? null : this.#claimForeign(id, flight, circuit);
  }

  async #claimForeign(id: string, flight: ResumeFlight, circuit: CircuitInfo): Promise<Refusal | null> {
    const { durability, settings, registry } = this.#options;
    const { store, owner, mode } = durability;
    if (registry.live.size >= settings.limits.sessions) return { code: RejectCode.BUSY, detail: { reason: 'at a limit' } };
    const { generation, instance, positions } = flight;
    const exclusive = mode === 'detach' || durability.address !== undefined;
    const keepMs = durability.keepMs(settings.holdMs);
    const request = { id, owner, generation, instance, positions, held: undefined, exclusive, keepMs };
    await durability.leased();
    let result = await durability.persist(() => store.claim(request), CLAIM_MS);
    // Nothing is lost with a process that commits: where it is gone, or cannot be dialed, the session is taken over.
    if (mode === 'commit' && result.status === 'live' && (result.leaseMs === 0 || this.#elsewhere(result.owner) === undefined))
      result = await durability.persist(() => store.claim({ ...request, exclusive: false }), CLAIM_MS);
    switch (result.status) {
      case 'claimed':
        await this.#adopt(id, result.claim, result.record as StoredRecord, flight, circuit);
        return null;
      case 'stale':
        return stale(result, flight);
      case 'lost':
        return { code: RejectCode.STATE_LOST, detail: { positions: told(result, settings.window), reason: 'bytes are missing' } };
      case 'live':
        if (result.leaseMs > 0) {
          const detail = { retryAfterMs: LIVE_RETRY_MS, reason: 'live elsewhere', address: this.#elsewhere(result.owner) };
          return { code: RejectCode.RETRY_LATER, detail };
        }
        return { code: RejectCode.STATE_LOST, detail: { positions: told(result, settings.window), reason: 'its process crashed' } };
      case 'ended':
        this.#bury(id, result.tombstone, circuit);
        return null;
      default:
        return { code: RejectCode.UNKNOWN, detail: {} };
    }
  }

  /** The session lives here from now on: detached, announced, and ready for the fencing step of the circuit that it was claimed for. */
  async #adopt(id: string, claim: Claim, record: StoredRecord, flight: ResumeFlight, circuit: CircuitInfo): Promise<void> {
    const { durability, node } = this.#options;
    const identity = decodeIdentity(record.identity);
    const state = decodeState(record.state);
    // Before this circuit, of whatever generation the record is: the store has judged that.
    const snapshot = { ...snapshotOf(record, identity, state), generation: flight.generation - 1, instance: flight.instance };
    const data = fromText(state.data);
    const tie = (driver: SessionDriver<Message>): void =>
      durability.tie(driver, { id, identity: record.identity, node: () => node }, { claim, record, data });
    await adopt(this.#options, { identity, snapshot, data, ticketBytes: 0, circuit, tie });
  }

  /** Where another process is reached, if this server sends clients to others. One of this address that is not this one is no more. */
  #elsewhere(owner: string): string | undefined {
    const { address } = this.#options.durability;
    const other = addressOf(owner);
    return address === undefined || other === address ? undefined : other;
  }

  #bury(id: string, bytes: Buffer, circuit: CircuitInfo): Tombstone | undefined {
    const { registry, settings } = this.#options;
    const { generation, instance, cause, finals, identity } = decodeTombstone(bytes);
    const now = settings.runtime.now();
    registry.bury(id, { ...this.#knownOf(identity, circuit), generation, instance, cause, finals }, settings.holdMs, now);
    return registry.findTombstone(id, now);
  }

  #knownOf(identity: RecordIdentity, circuit: CircuitInfo): Known {
    return knownOf(identity, circuit, this.#options.listeners);
  }
}

function stale(result: Extract<ClaimResult, { status: 'stale' }>, flight: ResumeFlight): Refusal {
  const code = result.instance === flight.instance ? RejectCode.STALE_GENERATION : RejectCode.TAKEN_OVER;
  return { code, detail: { generation: result.generation } };
}

interface StoredNumbers {
  readonly received: number;
  readonly base: number;
  readonly sent: number;
}

function told({ received, base, sent }: StoredNumbers, window: number): Positions {
  return { received, acked: received, limit: Math.min(received + window, Number.MAX_SAFE_INTEGER - 1), base, sent };
}

const LATER: Refusal = { code: RejectCode.RETRY_LATER, detail: { retryAfterMs: 0, reason: 'closing' } };
