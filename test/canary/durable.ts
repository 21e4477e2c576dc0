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
        find: 'if (this.#over || !this.#writes || core.inbound.inProgress) return;',
        replace: 'if (this.#over || !this.#writes) return;',
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
];
