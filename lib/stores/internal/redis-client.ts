// One way to talk to the clients that people have: node-redis 5 and later, its cluster client, ioredis and its forks. Commands go in as
// strings and bytes, replies come out with every string as bytes. No client is imported, so that none is needed by who uses another.
import { createHash } from 'node:crypto';
import { SessionError } from '../../errors.ts';

export type RedisArgument = string | Buffer;
/** Integers, bytes, nothing, and lists of these. */
export type RedisReply = number | Buffer | null | readonly RedisReply[];

/** `createClient()` of `redis`. */
export interface NodeRedis {
  sendCommand(args: RedisArgument[], options?: object): Promise<unknown>;
}

/** `createCluster()` of `redis`. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[];
  sendCommand(
    firstKey: RedisArgument | undefined,
    readOnly: boolean | undefined,
    args: RedisArgument[],
    options?: object,
  ): Promise<unknown>;
}

/** `new Redis()` and `new Cluster()` of `ioredis` and `iovalkey`. */
export interface IoRedis {
  callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown>;
}

export type RedisClient = NodeRedis | NodeRedisCluster | IoRedis;

/** Sends one command. @param key what it is about, for clusters; undefined: any node */
export type Send = (key: string | undefined, args: RedisArgument[]) => Promise<RedisReply>;

/** @throws SessionError ERR_INVALID_OPTION for what is no client */
export function sender(client: RedisClient): Send {
  // ioredis first: it has a sendCommand of its own, which is something else.
  if (has(client, 'callBuffer')) {
    return (_key, [command, ...args]) => (client as IoRedis).callBuffer(command as string, ...args) as Promise<RedisReply>;
  }
  if (has(client, 'sendCommand')) {
    if ('masters' in client) return (key, args) => client.sendCommand(key, false, args, AS_BYTES) as Promise<RedisReply>;
    return (_key, args) => (client as NodeRedis).sendCommand(args, AS_BYTES) as Promise<RedisReply>;
  }
  throw new SessionError('ERR_INVALID_OPTION', 'option client must be a client of redis (5 or later), ioredis or iovalkey');
}

/** A script that runs by its hash, and is sent whole when the server does not know it (any more): after a restart, a failover, a flush. */
export function script(
  send: Send,
  text: string,
): (keys: readonly string[], args: readonly RedisArgument[]) => Promise<readonly RedisReply[]> {
  const sha = createHash('sha1').update(text).digest('hex');
  return async (keys, args) => {
    const behind = [String(keys.length), ...keys, ...args];
    try {
      return (await send(keys[0], ['EVALSHA', sha, ...behind])) as readonly RedisReply[];
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return (await send(keys[0], ['EVAL', text, ...behind])) as readonly RedisReply[];
    }
  };
}

/** RESP's type of strings, as node-redis numbers it; all of them as Buffer. */
const AS_BYTES: object = { typeMapping: { 36: Buffer } };

function has(client: unknown, method: string): boolean {
  return typeof client === 'object' && client !== null && typeof (client as Record<string, unknown>)[method] === 'function';
}
