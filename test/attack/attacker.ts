// One attack, in a process of its own that yields to the server it attacks: on a real network it would not share a processor with it.

import { setPriority } from 'node:os';
import { Broken, Field } from './attack.ts';
import { attacks } from './attacks.ts';
import type { Ports } from './server.ts';

export interface Order {
  readonly name: string;
  readonly ports: Ports;
  readonly honestId: string;
  readonly seconds: number;
}

export interface Done {
  readonly counts: Readonly<Record<string, number>>;
  /** What the server did that it must not do; null where it did nothing. */
  readonly broken: string | null;
}

const NICE = 10;

const order = JSON.parse(process.argv[2] ?? '{}') as Order;
const attack = attacks.find(({ name }) => name === order.name);
if (attack === undefined) throw new Error(`there is no attack ${order.name}`);
setPriority(NICE);
const field = new Field(order.ports, Buffer.from(order.honestId, 'hex'), order.seconds);
let broken: string | null = null;
try {
  await attack.run(field);
  // One that waits for what never comes would pass: it attacks nobody.
  if (Object.keys(field.counts).length === 0) broken = 'the attack itself failed: nothing was counted';
} catch (error) {
  if (!(error instanceof Error)) throw error;
  broken = error instanceof Broken ? error.message : `the attack itself failed: ${error.stack}`;
}
process.send?.({ counts: field.counts, broken } satisfies Done, () => process.exit());
