// Keeper: what keeps a session so that it outlives this process: a committer in a store, a ticketer with its client. The shell tells either
// what happens, and asks it what is held back.
import type { Committer } from './committer.ts';
import type { Ticketer } from './ticketer.ts';

export type Keeper<Message> = Committer<Message> | Ticketer<Message>;
