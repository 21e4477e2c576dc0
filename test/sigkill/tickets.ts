// Kills two server processes that store nothing with SIGKILL, again and again at random moments, while they add up numbers for one client,
// which goes from one to the other with its newest ticket. In the end every number has counted once.

import { randomBytes } from 'node:crypto';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import { Random } from '../../lib/testing/random.ts';
import { Compiled } from '../support/compiled.ts';
import { freePort } from '../support/free-port.ts';
import { eventually } from '../support/net.ts';
import { Role, type SigkillOptions, type SigkillResult } from './run.ts';

const SERVER = 'test/sigkill/server.ts';
/** Written ahead of the answers. */
const AHEAD = 500;
const PATIENCE_MS = 600_000;

export async function runTicketKills(options: Pick<SigkillOptions, 'messages' | 'kills' | 'seed' | 'note'>): Promise<SigkillResult> {
  const { messages, kills, seed, note = () => {} } = options;
  await using compiled = await Compiled.of([SERVER]);
  const random = new Random(seed);
  const secret = randomBytes(32).toString('hex');
  const ports = [await freePort(), await freePort()];
  const broken: string[] = [];
  const servers = ports.map(
    (port) =>
      new Role(compiled.path(SERVER), [String(port), 'tickets', secret], (line) => {
        if (line.startsWith('BROKEN')) broken.push(line);
      }),
  );
  const client = new SessionClient({ framing: lines(), addresses: ports.map((port) => ({ port })) });
  let seen = 0;
  let sum = 0;
  const late = setTimeout(() => broken.push(`not done after ${PATIENCE_MS} ms`), PATIENCE_MS);
  try {
    for (const server of servers) server.start();
    const session = await client.open({ retry: true });
    session.on('close', (cause) => broken.push(`the session ended: ${cause?.message ?? 'clean'}`));
    let sent = 0;
    const say = (most: number): void => {
      while (sent < most && sent < seen + AHEAD) session.send(String(sent++));
    };
    let most = 1;
    session.receive((line) => {
      sum += seen;
      if (line !== `${seen} ${sum}`) broken.push(`answer ${line} came where ${seen} ${sum} was due`);
      seen++;
      say(most);
    });
    // A server killed before the first ticket has left ends the session: that is no crash of a session.
    say(most);
    await eventually(() => seen > 0 || broken.length > 0);
    for (let left = kills; left > 0 && broken.length === 0; left--) {
      most = Math.floor((messages * (kills - left + 1)) / (kills + 1));
      say(most);
      await eventually(() => servers.every(({ ready }) => ready) || broken.length > 0);
      await new Promise((resolve) => setTimeout(resolve, random.integer(0, 100)));
      servers[random.integer(0, servers.length - 1)]?.kill();
      if (left % 10 === 0) note(`${kills - left} kills, ${seen} of ${messages} messages`);
    }
    most = messages;
    say(most);
    await eventually(() => seen === messages || broken.length > 0);
    session.removeAllListeners('close');
    session.on('close', () => {});
    session.destroy();
  } finally {
    clearTimeout(late);
    await Promise.all(servers.map((server) => server.stop()));
  }
  return { seen, sum, serverKills: servers.reduce((all, server) => all + server.kills, 0), clientKills: 0, broken };
}
