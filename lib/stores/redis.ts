// redisStore: records in Redis or Valkey, so that any machine can take up any session. The application makes the client and passes it in;
// every change is one script on the server. What Redis promises is what a record promises: see docs/stores.md.
import { SessionError } from '../errors.ts';
import { type RedisArgument, type RedisClient, type RedisReply, type Send, script, sender } from './internal/redis-client.ts';
import { CLAIM_SCRIPT, COMMIT_ALL_SCRIPT, WRITE_SCRIPT } from './internal/redis-scripts.ts';
import type { Claim, ClaimRequest, ClaimResult, CreateResult, Creation, Found, Store, StoredHead, Write, WriteResult } from './store.ts';

export interface RedisStoreOptions {
  /** A connected client of `redis` (5 or later, also its cluster client), `ioredis` or `iovalkey`. It stays yours: close it yourself. */
  readonly client: RedisClient;
  /**
   * In front of every key. Default `outlast:`. With a hash tag (`{game}:`) all records are in one slot of a cluster, so that several
   * sessions can be committed at one instant there; without one they are spread over all slots.
   */
  readonly prefix?: string;
  /** Accept a server that loses its records when it restarts (no AOF). Default false. */
  readonly allowVolatile?: boolean;
}

/** @throws SessionError ERR_INVALID_OPTION */
export function redisStore(options: RedisStoreOptions): Store {
  return new RedisStore(options);
}

class RedisStore implements Store {
  // Replicas and the AOF lag behind what was answered, unless everything is set up against it, which cannot be seen from here.
  readonly mayRollBack: boolean = true;
  readonly #send: Send;
  readonly #prefix: string;
  readonly #allowVolatile: boolean;
  readonly #oneSlot: boolean;
  /** Set by ready(), where all records are in one place. */
  commitAll?: (writes: readonly Write[]) => Promise<readonly WriteResult[]>;
  readonly #claim: ReturnType<typeof script>;
  readonly #write: ReturnType<typeof script>;
  readonly #writeAll: ReturnType<typeof script>;

  constructor(options: RedisStoreOptions) {
    const { client, prefix = 'outlast:', allowVolatile = false } = options;
    if (typeof prefix !== 'string' || !/^[^{}]*(\{[^{}]+\}[^{}]*)?$/.test(prefix))
      throw new SessionError('ERR_INVALID_OPTION', 'option prefix must have no braces but those of one hash tag');
    this.#oneSlot = prefix.includes('{');
    this.#send = sender(client);
    this.#prefix = prefix;
    this.#allowVolatile = allowVolatile;
    this.#claim = script(this.#send, CLAIM_SCRIPT);
    this.#write = script(this.#send, WRITE_SCRIPT);
    this.#writeAll = script(this.#send, COMMIT_ALL_SCRIPT);
  }

  async ready(): Promise<void> {
    const info = await this.#ask('INFO', async () => textOf(await this.#send(undefined, ['INFO'])));
    const lines = new Map([...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map((match) => [match[1], match[2]] as [string, string]));
    const problem = problemOf(lines);
    if (problem !== undefined && !(problem.volatile && this.#allowVolatile)) throw new SessionError('ERR_STORE', `Redis ${problem.what}`);
    if (this.#oneSlot || lines.get('cluster_enabled') === '0') this.commitAll = (writes) => this.#putAll(writes);
  }

  async create(creation: Creation): Promise<CreateResult> {
    const { id, owner, generation, instance, received, base, sent, identity, state, outbox, keepMs } = creation;
    const args = [owner, ...[generation, keepMs, instance, received, base, sent].map(String), identity, state, outbox];
    const [status] = await this.#ask('create', () => this.#write(this.#keys(id), ['create', ...args]));
    return textOf(status) === 'created' ? { status: 'created', claim: { id, owner, tenure: generation } } : { status: 'exists' };
  }

  async find(id: string): Promise<Found | undefined> {
    const [key] = this.#keys(id);
    const reply = await this.#ask('find', () => this.#send(key, ['HMGET', key, 'g', 'i', 'c', 'r', 'b', 's', 'n', 'd', 'x']));
    const fields = reply as readonly RedisReply[];
    if (fields[0] === null) return undefined;
    if (fields[8] !== null) return { ended: true, tombstone: fields[8] as Buffer };
    return { ended: false, record: headOf(fields) };
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    const { id, owner, generation, instance, positions, held, exclusive, keepMs } = request;
    const args = [
      owner,
      String(generation),
      String(instance),
      held === undefined ? '' : String(held.tenure),
      exclusive ? '1' : '',
      String(keepMs),
    ];
    if (positions !== undefined) args.push(...[positions.received, positions.base, positions.sent].map(String));
    const [status, ...rest] = await this.#ask('claim', () => this.#claim(this.#keys(id), args));
    const number = (at: number): number => Number(textOf(rest[at]));
    switch (textOf(status)) {
      case 'claimed': {
        if (held !== undefined) return { status: 'claimed', claim: { id, owner, tenure: held.tenure }, record: undefined };
        return { status: 'claimed', claim: { id, owner, tenure: generation }, record: { ...headOf(rest), outbox: rest[8] as Buffer } };
      }
      case 'stale':
        return { status: 'stale', generation: number(0), instance: number(1) };
      case 'lost':
        return { status: 'lost', received: number(0), base: number(1), sent: number(2) };
      case 'live':
        return {
          status: 'live',
          owner: textOf(rest[0]),
          leaseMs: await this.#leaseMs(textOf(rest[0])),
          received: number(1),
          base: number(2),
          sent: number(3),
        };
      case 'fenced':
        return { status: 'fenced', generation: number(0) };
      case 'behind':
        return { status: 'behind', commit: number(0) };
      case 'ended':
        return { status: 'ended', tombstone: rest[0] as Buffer };
      default:
        return { status: 'gone' };
    }
  }

  commit(write: Write): Promise<WriteResult> {
    return this.#put('commit', write);
  }

  release(write: Write): Promise<WriteResult> {
    return this.#put('release', write);
  }

  async remove(claim: Claim, tombstone: Buffer, keepMs: number): Promise<WriteResult> {
    const args = ['remove', claim.owner, String(claim.tenure), String(keepMs), tombstone];
    return resultOf(await this.#ask('remove', () => this.#write(this.#keys(claim.id), args)));
  }

  async renew(owner: string, leaseMs: number): Promise<void> {
    const key = this.#leaseKey(owner);
    await this.#ask('renew', () => this.#send(key, ['SET', key, '1', 'PX', String(leaseMs)]));
  }

  async close(): Promise<void> {}

  async #put(what: 'commit' | 'release', write: Write): Promise<WriteResult> {
    return resultOf(await this.#ask(what, () => this.#write(this.#keys(write.claim.id), [what, ...argumentsOf(write)])));
  }

  async #putAll(writes: readonly Write[]): Promise<readonly WriteResult[]> {
    const keys = writes.flatMap(({ claim }) => this.#keys(claim.id));
    const replies = await this.#ask('commitAll', () => this.#writeAll(keys, writes.flatMap(argumentsOf)));
    return replies.map((reply) => resultOf(reply as readonly RedisReply[]));
  }

  /** In a slot of its own, so it is asked apart: it tells how long to wait and decides nothing. */
  async #leaseMs(owner: string): Promise<number> {
    const key = this.#leaseKey(owner);
    return Math.max(0, (await this.#ask('claim', () => this.#send(key, ['PTTL', key]))) as number);
  }

  async #ask<Answer>(what: string, call: () => Promise<Answer>): Promise<Answer> {
    try {
      return await call();
    } catch (cause) {
      throw new SessionError('ERR_STORE', `redisStore: ${what} failed (${cause instanceof Error ? cause.message : String(cause)})`, {
        cause,
      });
    }
  }

  /** The braces put both into one slot of a cluster; those of the prefix come first. */
  #keys(id: string): readonly [string, string] {
    return [`${this.#prefix}{${id}}:record`, `${this.#prefix}{${id}}:outbox`];
  }

  #leaseKey(owner: string): string {
    return `${this.#prefix}lease:{${owner}}`;
  }
}

/** What in a server's INFO would lose records, and what to do about it. Some services hide a line: then it is not judged. */
function problemOf(info: ReadonlyMap<string, string>): { readonly what: string; readonly volatile: boolean } | undefined {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (info.get('maxmemory') !== '0' && policy !== 'noeviction') {
    return { what: `has maxmemory-policy ${policy}, which drops sessions without a word: set it to noeviction`, volatile: false };
  }
  if (info.get('role') === 'slave') return { what: 'at this address is a replica: connect to the primary', volatile: false };
  if (info.get('aof_enabled') === '0') {
    const what = 'keeps no AOF, so that a restart loses every session: set appendonly yes, or allowVolatile: true where that is meant';
    return { what, volatile: true };
  }
  return undefined;
}

function argumentsOf(write: Write): readonly RedisArgument[] {
  const { claim, commit, generation, instance, received, base, sent, state, outbox, from, whole, keepMs } = write;
  const numbers = [claim.tenure, keepMs, commit, generation, instance, received, base, sent].map(String);
  return [claim.owner, ...numbers, state, outbox, String(from), whole ? '1' : ''];
}

function resultOf(reply: readonly RedisReply[]): WriteResult {
  const status = textOf(reply[0]);
  if (status === 'fenced') return { status, generation: Number(textOf(reply[1])) };
  if (status === 'behind') return { status, commit: Number(textOf(reply[1])) };
  return status === 'done' ? { status } : { status: 'gone' };
}

function headOf(fields: readonly RedisReply[]): StoredHead {
  const [generation, instance, commit, received, base, sent] = fields.slice(0, 6).map((field) => Number(textOf(field))) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { generation, instance, commit, received, base, sent, identity: fields[6] as Buffer, state: fields[7] as Buffer };
}

/** Statuses come as RESP strings, which a client gives as bytes or as text. */
function textOf(reply: RedisReply | undefined): string {
  return String(reply);
}
