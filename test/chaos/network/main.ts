// `npm run chaos:network`: sessions between processes in kernel network namespaces, a router between them, while the network itself fails:
// packets dropped one way or both, a black hole for large ones, sockets destroyed, addresses changed, cables pulled. As root.

import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Random } from '../../../lib/testing/random.ts';
import { installMissing } from '../../../scripts/debian.ts';
import type { HostProcess } from '../host-process.ts';
import { hasty, inOrder, optionsOf, SILENCE_MS, talkOf, untilOpened } from '../scenarios.ts';
import { Stage } from '../stage.ts';
import { Network, type Node, Refused, refusalOf } from './network.ts';

const HELP = `npm run chaos:network -- [options]

  --seed N     of what the applications say; default: a fresh one
  --only TEXT  only scenarios whose name has TEXT in it
`;

/** A scenario: what happens to a client's network, from the moment that its sessions are open to the moment that all is well again. */
interface Trouble {
  readonly name: string;
  readonly happen: (place: Place) => Promise<void>;
  /** The sessions must have come to new circuits, or the trouble was none. */
  readonly resumes: boolean;
  /** Both ends give a connection up after so many retransmissions, and the heartbeat is too slow to find out before. */
  readonly patience?: number;
}

interface Place {
  readonly network: Network;
  readonly client: Node;
  readonly server: Node;
  /** The application says that the network has changed. */
  readonly nudge: () => Promise<unknown>;
}

const SESSIONS = 2;
/** Beyond the silence that ends a circuit. */
const LONG_MS: number = SILENCE_MS + 3_000;

const troubles: readonly Trouble[] = [
  dropping('drops what the client sends', ({ client }) => `ip saddr ${client.subnet} drop`),
  dropping('drops what the server sends', ({ client }) => `ip daddr ${client.subnet} drop`),
  dropping('drops both ways', ({ client }) => `ip saddr ${client.subnet} drop; ip daddr ${client.subnet} drop`),
  dropping('drops packets above 600 bytes', ({ client }) => `ip saddr ${client.subnet} meta length > 600 drop`),
  {
    name: 'the router loses one packet in ten',
    resumes: false,
    happen: async ({ network, client }) => {
      const some = 'numgen random mod 10 == 0 drop';
      await network.filter(client.name, `ip saddr ${client.subnet} ${some}; ip daddr ${client.subnet} ${some}`);
      await pause(LONG_MS);
      await network.unfilter(client.name);
    },
  },
  {
    name: 'the sockets of the client are destroyed',
    resumes: true,
    happen: ({ client, server }) => again(5, () => client.killSockets(server.address)),
  },
  {
    name: 'the sockets of the server are destroyed',
    resumes: true,
    happen: ({ client, server }) => again(5, () => server.killSockets(client.address)),
  },
  {
    name: 'the client gets another address',
    resumes: true,
    happen: async ({ client }) => {
      await client.setAddress(client.address.replace(/2$/, '3'));
      await pause(LONG_MS);
    },
  },
  {
    name: 'the client gets another address, and knows it',
    resumes: true,
    happen: async ({ client, nudge }) => {
      await client.setAddress(client.address.replace(/2$/, '3'));
      await nudge();
      await pause(2_000);
    },
  },
  {
    name: 'the router translates, and forgets its table',
    resumes: true,
    happen: async ({ network, client }) => {
      for (const address of ['10.91.0.1', '10.91.0.2', '10.91.0.3']) {
        await network.translate(client, address);
        await pause(4_000);
      }
    },
  },
  {
    name: 'the cable is out for longer than TCP waits',
    resumes: true,
    patience: 3,
    happen: async ({ network, client }) => {
      await network.cable(client, 'down');
      await pause(12_000);
      await network.cable(client, 'up');
    },
  },
];

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else process.exitCode = await main(Number(values.seed));

async function main(seed: number): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('network namespaces are made by root: sudo npm run chaos:network\n0 passed, 0 failed\n');
    return 2;
  }
  installMissing(['iproute2', 'nftables', 'conntrack', 'procps']);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const chosen = troubles.filter(({ name }) => name.includes(values.only));
  process.stdout.write(`chaos:network: ${chosen.length} scenarios, seed ${seed}\n`);
  const counts = { passed: 0, failed: 0, refused: 0 };
  try {
    await using network = await Network.make();
    await using stage = new Stage();
    const places = await build(network, stage, chosen);
    await Promise.all(
      places.map(async (place, index) => {
        const { result, text } = await play(place, stage, seed + index);
        counts[result]++;
        process.stdout.write(`${result.padEnd(7)} ${place.trouble.name}: ${text}\n`);
      }),
    );
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    process.stdout.write(`not run, the kernel refuses ${error.message}\n`);
    counts.refused = chosen.length;
  }
  process.stdout.write(`${counts.refused} refused by the kernel\n${counts.passed} passed, ${counts.failed} failed\n`);
  return counts.failed === 0 ? 0 : 1;
}

interface Built {
  readonly trouble: Trouble;
  readonly place: Omit<Place, 'nudge'>;
  readonly near: HostProcess;
  readonly far: HostProcess;
}

/** One server for all, another one where the kernel is to be impatient; a client each. */
async function build(network: Network, stage: Stage, chosen: readonly Trouble[]): Promise<Built[]> {
  const servers = new Map<number | undefined, { node: Node; host: HostProcess }>();
  const places: Built[] = [];
  for (const [index, trouble] of chosen.entries()) {
    const { patience } = trouble;
    let server = servers.get(patience);
    if (server === undefined) {
      const node = await network.node(`server${servers.size}`);
      if (patience !== undefined) await node.setPatience(patience);
      server = { node, host: stage.start(node.name, { prefix: node.prefix }) };
      servers.set(patience, server);
    }
    const client = await network.node(`client${index}`);
    if (patience !== undefined) await client.setPatience(patience);
    const near = stage.start(client.name, { prefix: client.prefix });
    places.push({ trouble, place: { network, client, server: server.node }, near, far: server.host });
  }
  return places;
}

async function play(
  { trouble, place, near, far }: Built,
  stage: Stage,
  seed: number,
): Promise<{ result: 'passed' | 'failed' | 'refused'; text: string }> {
  const key = place.client.name;
  const scene = { key, seed, stage, near, far };
  const random = new Random(seed);
  const options = { ...hasty(optionsOf(random, 120_000)), ...(trouble.patience === undefined ? {} : { heartbeatMs: 15_000 }) };
  const talk = { ...talkOf(random, seed, options), mostBytes: 60_000 };
  const host = place.server.address;
  try {
    const port = (await far.tell({ act: 'serve', key, host, port: 0, options })) as number;
    await near.tell({ act: 'dial', key, host, port, options, talk, sessions: SESSIONS });
    await untilOpened(scene, SESSIONS);
    await pause(500);
    await trouble.happen({ ...place, nudge: () => near.tell({ act: 'nudge', key }) });
    const { problems, messages, circuits } = await inOrder(scene, SESSIONS);
    const found = [...problems, ...(trouble.resumes && circuits < 2 * SESSIONS ? [`only ${circuits} circuits: nothing has happened`] : [])];
    if (found.length > 0) return { result: 'failed', text: found.join('\n  ') };
    return { result: 'passed', text: `${messages} messages, ${circuits} circuits` };
  } catch (error) {
    if (refusalOf(error as Error) instanceof Refused) return { result: 'refused', text: (error as Error).message };
    return { result: 'failed', text: `${(error as Error).stack}\n${stage.ledger.describe(key)}` };
  }
}

/** The router drops packets for so long that a heartbeat finds out. */
function dropping(what: string, rule: (place: Place) => string): Trouble {
  return {
    name: `the router ${what}`,
    resumes: true,
    happen: async (place) => {
      const { network, client } = place;
      await network.filter(client.name, rule(place));
      await pause(LONG_MS);
      await network.unfilter(client.name);
    },
  };
}

async function again(times: number, action: () => Promise<void>): Promise<void> {
  for (let i = 0; i < times; i++) {
    await action();
    await pause(800);
  }
}
