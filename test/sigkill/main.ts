// `npm run test:sigkill -- [KILLS] [MESSAGES] [SEED] [STORE]`: kills server and client processes while numbers are added up between them.
// STORE: lmdb, or redis, for which a redis-server is started; or tickets: two servers without a store, and a client that lives on.

import { RedisServer } from '../support/redis-server.ts';
import { runSigkill } from './run.ts';
import { runTicketKills } from './tickets.ts';

const [kills = 40, messages = 100_000, seed = Date.now() % 1_000_000] = process.argv.slice(2, 5).map(Number);
const kind = process.argv[5] ?? 'lmdb';
if (!['lmdb', 'redis', 'tickets'].includes(kind)) throw new Error(`no store ${kind}: lmdb, redis or tickets`);
console.log(`${kills} SIGKILLs at random moments, ${messages} messages, ${kind}, seed ${seed}`);
await using redis = kind === 'redis' ? await RedisServer.start({ appendfsync: 'everysec' }) : null;
const began = performance.now();
const plan = { messages, kills, seed, note: (line: string): void => console.log(`  ${line}`) };
const store = redis === null ? {} : { store: { kind, place: String(redis.port) } };
const { seen, sum, serverKills, clientKills, broken } = await (kind === 'tickets'
  ? runTicketKills(plan)
  : runSigkill({ ...plan, ...store }));
const right = (messages * (messages - 1)) / 2;
for (const line of broken) console.log(`  ${line}`);
const good = seen === messages && sum === right && broken.length === 0 && serverKills + clientKills === kills;
console.log(`${serverKills} server and ${clientKills} client processes killed in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(`${seen} messages, sum ${sum}, ${right} is right: ${good ? '1 passed, 0 failed' : '0 passed, 1 failed'}`);
if (!good) process.exitCode = 1;
