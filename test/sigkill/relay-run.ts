// Kills a relay's process with SIGKILL, again and again at random moments, while two sources send numbers through it to one sink. Each must
// arrive once and in order, with the counts that the relay keeps in both sessions: it is exactly once between two sessions too.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SessionClient } from '../../lib/client.ts';
import { lines } from '../../lib/framing/lines.ts';
import { Random } from '../../lib/testing/random.ts';
import { Compiled } from '../support/compiled.ts';
import { freePort } from '../support/free-port.ts';
import { Role } from './run.ts';

const SOURCES = ['one', 'two'] as const;

export interface RelayOptions {
  readonly kills: number;
  readonly seed: number;
  /** Default: LMDB in a folder of the run. */
  readonly store?: { readonly kind: string; readonly place: string };
}

export interface RelayResult {
  /** What came at the sink as it was due. */
  readonly arrived: number;
  readonly sent: number;
  readonly kills: number;
  readonly broken: readonly string[];
}

export async function runRelay(options: RelayOptions): Promise<RelayResult> {
  const { kills, seed } = options;
  await using compiled = await Compiled.of(['test/sigkill/relay.ts']);
  const folder = await mkdtemp(join(tmpdir(), 'outlast-relay-'));
  const { kind, place } = options.store ?? { kind: 'lmdb', place: folder };
  const port = await freePort();
  const random = new Random(seed);
  const broken: string[] = [];
  const clients = ['sink', ...SOURCES].map((name) => new SessionClient({ framing: lines(), port, metadata: Buffer.from(name) }));
  const relay = new Role(compiled.path('test/sigkill/relay.ts'), [String(port), kind, `${place}/relay`], (line) => {
    if (line.startsWith('BROKEN')) broken.push(line);
    for (const client of clients) client.nudge();
  });
  const sent: Record<string, number> = { one: 0, two: 0 };
  const passed: Record<string, number> = { one: 0, two: 0 };
  const arrived = (): number => (passed.one ?? 0) + (passed.two ?? 0);
  let sending = true;
  let over = false;
  try {
    relay.start();
    const open = async (client: SessionClient<string>, name: string) => {
      const session = await client.open({ retry: true });
      session.on('close', (cause) => {
        if (cause !== undefined && !over) broken.push(`${name} ended: ${cause.message}`);
      });
      return session;
    };
    const [sink, ...sources] = await Promise.all(clients.map((client, i) => open(client, ['sink', ...SOURCES][i] as string)));
    sink?.receive((line) => {
      const [name = ''] = line.split(' ');
      const count = (passed[name] ?? 0) + 1;
      passed[name] = count;
      const due = `${name} ${count} ${count} ${arrived()}`;
      if (line !== due) broken.push(`${line} came where ${due} was due`);
    });
    for (const [i, session] of sources.entries()) {
      const name = SOURCES[i] as string;
      session.receive(() => {});
      const more = (): void => {
        if (!sending) return;
        while ((sent[name] ?? 0) - (passed[name] ?? 0) < 100) {
          sent[name] = (sent[name] ?? 0) + 1;
          session.send(String(sent[name]));
        }
        setTimeout(more, 5);
      };
      more();
    }
    for (let left = kills; left > 0 && broken.length === 0; left--) {
      const before = arrived();
      await until(() => broken.length > 0 || (relay.ready && arrived() > before + 20));
      await pause(random.integer(0, 50));
      relay.kill();
    }
    sending = false;
    await until(() => broken.length > 0 || (arrived() === (sent.one ?? 0) + (sent.two ?? 0) && sources.every(flushed)));
  } finally {
    over = true;
    sending = false;
    for (const client of clients) for (const session of client.sessions) session.destroy();
    await relay.stop();
    await rm(folder, { recursive: true });
  }
  return { arrived: arrived(), sent: (sent.one ?? 0) + (sent.two ?? 0), kills: relay.kills, broken };
}

const flushed = ({ stats }: { readonly stats: { readonly sent: number; readonly confirmed: number } }): boolean =>
  stats.confirmed === stats.sent;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Relays come back within seconds. */
const LATE_MS = 30_000;

async function until(condition: () => boolean): Promise<void> {
  for (const lateMs = performance.now() + LATE_MS; !condition(); await pause(5))
    if (performance.now() > lateMs) throw new Error(`nothing has come for ${LATE_MS} ms`);
}
