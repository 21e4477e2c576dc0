// The simulator of durable sessions over fresh seeds: processes die at any event, the store is late, lost and away or there is none, and
// every message acts once. SIM_BASE=n repeats a run's seeds; a failure names the one command that replays it.

import { expect } from 'chai';
import { type DurableOutcome, simulateDetach, simulateDurable, simulateTickets } from './world.ts';

const base = Number(process.env.SIM_BASE ?? Date.now() % 1_000_000_000);

interface World {
  readonly what: string;
  readonly simulate: (seed: number) => Promise<DurableOutcome>;
  /** Replays a seed, behind which it stands. */
  readonly command: string;
  readonly seeds: number;
  /** Seeds that once failed, and why. */
  readonly known: readonly (readonly [seed: number, why: string])[];
  /** What must have happened over all seeds: else nothing was proved. */
  readonly kinds: readonly string[];
  /** Share of the seeds whose sum must have been told: the others end with an error that the world allows. */
  readonly exact: number;
}

const worlds: readonly World[] = [
  {
    what: 'durable sessions',
    simulate: simulateDurable,
    command: 'npm run sim:durable --',
    seeds: 300,
    known: [[5086, 'the record of a killed client was made after its successor had looked for it: open() opened anew for ever']],
    kinds: [
      'node killed',
      'node closed',
      'client killed',
      'move',
      'sent on',
      'store away',
      'lost',
      'unanswered',
      'late',
      'posthumous',
      'cuts',
      'sum exact',
    ],
    exact: 0.8,
  },
  {
    what: 'sessions kept by their clients',
    simulate: simulateTickets,
    command: 'npm run sim:durable -- tickets',
    seeds: 200,
    known: [],
    kinds: ['node killed', 'node closed', 'move', 'cuts', 'sum exact'],
    exact: 0.8,
  },
  {
    what: 'sessions that are written while detached',
    simulate: simulateDetach,
    command: 'npm run sim:durable -- detach',
    seeds: 300,
    known: [
      [74, 'another node asked before the first lease was stored: a session that lived was called crashed'],
      [133, 'a release that was on its way when a circuit came back left the record clean behind the claim'],
      [2626, 'a server that was closed took up again, from an older record, what it had let go of'],
    ],
    kinds: ['node killed', 'node closed', 'move', 'cuts', 'lost', 'unanswered', 'late', 'crash told', 'sum exact'],
    exact: 0.6,
  },
];

for (const { what, simulate, command, seeds, known, kinds: due, exact } of worlds)
  describe(`simulator of ${what}`, function () {
    this.timeout(0);

    for (const [seed, why] of known) {
      it(`seed ${seed}: ${why}`, async () => {
        const { failures } = await simulate(seed);
        expect(failures, `${command} ${seed}`).to.deep.equal([]);
      });
    }

    it('does the same for the same seed', async () => {
      for (let seed = base; seed < base + 10; seed++) {
        const first = await simulate(seed);
        const second = await simulate(seed);
        expect(second.hash, `${command} ${seed}`).to.equal(first.hash);
      }
    });

    it(`keeps every promise on ${seeds} fresh seeds from ${base}`, async () => {
      const kinds: Record<string, number> = {};
      for (let seed = base; seed < base + seeds; seed++) {
        const outcome = await simulate(seed);
        for (const [kind, times] of Object.entries(outcome.kinds)) kinds[kind] = (kinds[kind] ?? 0) + times;
        if (outcome.failures.length > 0) throw new Error(`${command} ${seed}\n  ${outcome.failures.join('\n  ')}`);
        // Other events of this process get their turn between two seeds.
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log(`      ${JSON.stringify(kinds)}`);
      for (const kind of due) expect(kinds[kind] ?? 0, kind).to.be.greaterThan(0);
      expect(kinds['sum exact'] ?? 0).to.be.greaterThan(seeds * exact);
    });
  });
