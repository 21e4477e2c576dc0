// Planted bugs of sessions that are written while detached: a crash is not noticed, and what it took with it runs again in silence. The
// simulator of such sessions must find every one; the table works as that of canaries.ts does.

import type { Canary } from './canaries.ts';

export const detachCanaries: readonly Canary[] = [
  {
    name: 'detach: a live record is taken over',
    why: 'what a process did since its last write is done again by the next',
    edits: [
      {
        file: 'lib/restorer.ts',
        find: "const exclusive = mode === 'detach' || durability.address !== undefined;",
        replace: 'const exclusive = durability.address !== undefined;',
      },
    ],
  },
  {
    name: 'detach: a claim leaves the record clean',
    why: 'the session goes on, and its record says that it tells everything',
    edits: [
      {
        file: 'lib/stores/memory.ts',
        find: 'header: { ...entry.header, ...grant, live: true }',
        replace: 'header: { ...entry.header, ...grant }',
      },
    ],
  },
  {
    name: 'detach: a release behind the claim',
    why: 'a write that was on its way when a circuit came back marks the record clean while the session goes on',
    edits: [
      {
        file: 'lib/durable/live-mark.ts',
        find: 'return this.#detached && this.#awaited === 0 && (',
        replace: 'return this.#detached && (',
      },
    ],
  },
];
