// Planted bugs of durable sessions: mistakes in what is stored, when it is released, and who may write. The simulator of durable sessions
// must find every one; the table works as that of canaries.ts does.

import type { Canary } from './canaries.ts';

export const durableCanaries: readonly Canary[] = [
  {
    name: 'ack before the record',
    why: 'what a crashed process had consumed and not stored is freed by its peer, and lost',
    edits: [
      { file: 'lib/core/inbound.ts', find: 'const acked = cursor < released ? cursor : released;', replace: 'const acked = cursor;' },
    ],
  },
  {
    name: 'output before the record',
    why: 'the peer has seen an answer of a message that will act again',
    edits: [
      {
        file: 'lib/core/outbound.ts',
        find: 'return this.peerLimit < this.released ? this.peerLimit : this.released;',
        replace: 'return this.peerLimit;',
      },
    ],
  },
  {
    name: 'release with the write in flight',
    why: 'acks and outputs go when the store was asked, not when it has answered',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: '      const write = this.#writeOf(boundary, this.#claim);',
        replace:
          '      const write = this.#writeOf(boundary, this.#claim);\n      this.#stored = boundary;\n      this.#release(boundary);',
      },
    ],
  },
  {
    name: 'boundary inside a message',
    why: 'half of what a handler does is stored as if it were all',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: 'if (this.#over || !this.#writes() || core.inbound.inProgress) return;',
        replace: 'if (this.#over || !this.#writes()) return;',
      },
    ],
  },
  {
    name: 'data of another moment',
    why: 'session.data as it is when the write begins, with the cursors of the boundary',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: 'return writeOf(this.#host.core, boundary, options);',
        replace: 'return writeOf(this.#host.core, { ...boundary, data: this.#data }, options);',
      },
    ],
  },
  {
    name: 'another write under the same number',
    why: 'a repeated call tells of a newer boundary: the store keeps the first, the session believes the second',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: 'clean ? store.release(write) : store.commit(write)',
        replace: 'clean ? store.release(write) : store.commit(this.#writeOf(this.#captured, write.claim))',
      },
    ],
  },
  {
    name: 'a fenced owner writes',
    why: 'the store takes the late write of a process whose record another has claimed',
    edits: [
      {
        file: 'lib/stores/internal/rules.ts',
        find: "if (stored.tenure > tenure) return { status: 'fenced', generation: stored.generation };\n  // A claim that",
        replace: '// A claim that',
      },
    ],
  },
  {
    name: 'a write applied twice',
    why: 'a repeated write appends its outputs again',
    edits: [
      {
        file: 'lib/stores/internal/rules.ts',
        find: "if (write.commit <= stored.commit) return { status: 'done' };",
        replace: "if (write.commit <= stored.commit) return 'apply';",
      },
    ],
  },
  {
    name: 'memory of a fenced owner',
    why: 'a process that was fenced while idle refuses a resume that the record would take',
    edits: [
      {
        file: 'lib/restorer.ts',
        find: 'refused ? await durable.confirm() :',
        replace: 'refused ? true :',
      },
    ],
  },
  {
    name: 'generation not reserved',
    why: 'a client dials with a generation that its record does not know: the next process uses it again',
    edits: [
      {
        file: 'lib/dialer.ts',
        find: "if (durable?.kind !== 'record' || this.#reserved > core.generation) return this.#connect();",
        replace: 'return this.#connect();',
      },
    ],
  },
  {
    name: 'unknown outcome taken for done',
    why: 'a call without an answer may not have been done: what waited for it has gone all the same',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: 'result = await this.repeat(() => (clean ? store.release(write) : store.commit(write)));',
        replace: "result = await (clean ? store.release(write) : store.commit(write)).catch((): WriteResult => ({ status: 'done' }));",
      },
    ],
  },
  {
    name: 'received for consumed',
    why: 'what had come and was not consumed is lost with the process',
    edits: [
      {
        file: 'lib/durable/boundary.ts',
        find: 'const { cursor, peerEnd } = inbound;',
        replace: 'const { received: cursor, peerEnd } = inbound;',
      },
    ],
  },
  {
    name: 'a push waits for a message',
    why: 'what an idle session sends is stored with the next message, which may never come',
    edits: [{ file: 'lib/durable/committer.ts', find: '    this.#host.soon(this.#now);\n', replace: '' }],
  },
  {
    name: 'positions of before the claim',
    why: 'what the owner stores between the look and the claim of another process is lost',
    edits: [
      {
        file: 'lib/restorer.ts',
        find: 'let result = await durability.persist(() => store.claim(request), CLAIM_MS);',
        replace: `
    const before = await store.find(id).catch(() => undefined);
    let result = await durability.persist(() => store.claim(request), CLAIM_MS);
    if (result.status === 'claimed' && before?.ended === false) {
      const { received, state } = before.record;
      result = { ...result, record: { ...(result.record as StoredRecord), received, state } };
    }`,
      },
    ],
  },
  {
    name: 'a fenced write taken for done',
    why: 'an owner whose record was claimed by another releases what only it knows',
    edits: [
      {
        file: 'lib/durable/committer.ts',
        find: '      this.refused(result);\n    }\n    this.#refreshDue',
        replace: "      if (result.status === 'fenced') break;\n      this.refused(result);\n    }\n    this.#refreshDue",
      },
    ],
  },
  {
    name: 'a new circuit fences its owner',
    why: 'each circuit begins a tenure: the owner loses its session to itself',
    edits: [
      {
        file: 'lib/stores/internal/rules.ts',
        find: 'const tenure = held === undefined ? generation : held.tenure;',
        replace: 'const tenure = generation;',
      },
    ],
  },
  {
    name: 'a repeated claim refused',
    why: 'a claim whose answer was lost counts as one of somebody else',
    edits: [
      { file: 'lib/stores/internal/rules.ts', find: 'if (same && stored.tenure === tenure)', replace: 'if (same && stored.tenure < 0)' },
    ],
  },
  {
    name: 'memory accepts without a claim',
    why: 'an owner that was fenced while idle gives out what it has in memory',
    edits: [
      {
        file: 'lib/restorer.ts',
        find: 'const result = refused ? undefined : await durable.reclaim(flight.generation, flight.instance);',
        replace: "const result = refused ? undefined : { status: 'claimed' as const };",
      },
    ],
  },
  {
    name: 'claims side by side',
    why: 'a process claims one session for two circuits at once, and fences itself',
    edits: [{ file: 'lib/one-by-one.ts', find: 'const run = before.then(work);', replace: 'const run = work();' }],
  },
  {
    name: 'numbers begin anew',
    why: 'a process that took a session up writes with numbers that the store has seen: nothing of it is stored',
    edits: [{ file: 'lib/durable/committer.ts', find: 'this.#commit = taken.record.commit;', replace: 'this.#commit = 0;' }],
  },
  {
    name: 'a client takes the generation of the record',
    why: 'two processes of one client dial with the same generation',
    edits: [
      {
        file: 'lib/client-records.ts',
        find: 'const generation = found.record.generation + 1;',
        replace: 'const generation = Math.max(2, found.record.generation);',
      },
    ],
  },
  {
    name: 'data of a client forgotten',
    why: 'the next process of a client begins with what it had not sent, and without its data',
    edits: [{ file: 'lib/client-records.ts', find: '{ claim, record, data });\n', replace: '{ claim, record, data: undefined });\n' }],
  },
  {
    name: 'what was sent forgotten',
    why: 'a process fresh from a record takes what it had sent for never sent, and refuses a peer that has it',
    edits: [
      {
        file: 'lib/core/snapshot.ts',
        find: 'outbound.restore(snapshot.base, snapshot.sent, snapshot.peerLimit);',
        replace: 'outbound.restore(snapshot.base, snapshot.base, snapshot.peerLimit);',
      },
    ],
  },
];
