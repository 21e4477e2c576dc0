// `npm run test:sigkill -- [KILLS] [MESSAGES] [SEED]`: kills server and client processes while numbers are added up between them.

import { runSigkill } from './run.ts';

const [kills = 40, messages = 100_000, seed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number);
console.log(`${kills} SIGKILLs of server and client at random moments, ${messages} messages, LMDB at both ends, seed ${seed}`);
const began = performance.now();
const { seen, sum, serverKills, clientKills, broken } = await runSigkill({
  messages,
  kills,
  seed,
  note: (line) => console.log(`  ${line}`),
});
const right = (messages * (messages - 1)) / 2;
for (const line of broken) console.log(`  ${line}`);
const good = seen === messages && sum === right && broken.length === 0 && serverKills + clientKills === kills;
console.log(`${serverKills} server and ${clientKills} client processes killed in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(`${seen} messages, sum ${sum}, ${right} is right: ${good ? '1 passed, 0 failed' : '0 passed, 1 failed'}`);
if (!good) process.exitCode = 1;
