// redisRegister: the newest ticket that a session's client is known to have, in Redis or Valkey, for all servers of a keyring. Marks go
// in, the newest comes out; the application makes the client and passes it in.
import { SessionError } from '../errors.ts';
import { type RedisClient, script, sender } from './internal/redis-client.ts';
import type { TicketMark, TicketRegister } from './store.ts';

export interface RedisRegisterOptions {
  /** A connected client of `redis` (5 or later, also its cluster client), `ioredis` or `iovalkey`. It stays yours: close it yourself. */
  readonly client: RedisClient;
  /** In front of every key. Default `outlast:`. */
  readonly prefix?: string;
}

/**
 * Where Redis forgets (no AOF, a failover), older tickets are taken again, as without a register.
 * @throws SessionError ERR_INVALID_OPTION for what is no client
 */
export function redisRegister(options: RedisRegisterOptions): TicketRegister {
  const { client, prefix = 'outlast:' } = options;
  const advance = script(sender(client), ADVANCE_SCRIPT);
  return {
    async advance(id: string, mark: TicketMark, keepMs: number): Promise<TicketMark> {
      try {
        const args = [mark.generation, mark.number, Math.ceil(keepMs)].map(String);
        const [generation, number] = await advance([`${prefix}${id}:ticket`], args);
        return { generation: Number(String(generation)), number: Number(String(number)) };
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new SessionError('ERR_STORE', `redisRegister: advance failed (${why})`, { cause });
      }
    },
  };
}

/**
 * KEYS mark. ARGV generation, number, keepMs. Answers the newest generation and number. Run again it answers the same. Numbers are
 * compared as doubles, which are exact up to 2^53-1, and stored as they came: Lua would round them when it writes them.
 */
const ADVANCE_SCRIPT = `
local n = tonumber
local m = redis.call('HMGET', KEYS[1], 'g', 'n')
local g, i = m[1], m[2]
if not g or n(ARGV[1]) > n(g) or (n(ARGV[1]) == n(g) and n(ARGV[2]) > n(i)) then
  g, i = ARGV[1], ARGV[2]
  redis.call('HSET', KEYS[1], 'g', g, 'n', i)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {g, i}`;
