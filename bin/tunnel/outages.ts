// Tells when a dialing end is offline and when it is back: once for all of its sessions, not once for each.

import type { Session, SessionClient } from '../../lib/index.ts';
import { showDuration } from '../values.ts';
import type { Log } from './log.ts';

/** A loss that is made good within this is told to nobody. */
const WORTH_TELLING_MS = 1_000;

export class Outages {
  readonly #log: Log;
  readonly #away = new Set<Session<Buffer>>();
  #sinceMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #told = false;

  constructor(client: SessionClient<Buffer>, log: Log) {
    this.#log = log;
    client.on('retry', ({ attempt, delayMs, cause }) =>
      log.detail('retry', `attempt ${attempt} in ${showDuration(delayMs)}: ${cause.message}`, { attempt, delayMs, error: cause.message }),
    );
  }

  watch(session: Session<Buffer>): void {
    session.on('detached', () => this.#lost(session));
    session.on('attached', () => this.#back(session));
    session.on('draining', ({ deadlineMs }) =>
      this.#log.tell('peer-draining', `the other end goes down within ${showDuration(deadlineMs)}`, { deadlineMs }),
    );
    session.once('close', () => this.#back(session));
  }

  #lost(session: Session<Buffer>): void {
    if (session.state === 'closed') return;
    if (this.#away.size === 0) {
      this.#sinceMs = performance.now();
      this.#timer = setTimeout(() => {
        this.#told = true;
        this.#log.tell('offline', `offline; ${this.#away.size} connections wait`, { sessions: this.#away.size });
      }, WORTH_TELLING_MS);
    }
    this.#away.add(session);
  }

  #back(session: Session<Buffer>): void {
    if (!this.#away.delete(session) || this.#away.size > 0) return;
    clearTimeout(this.#timer);
    const afterMs = performance.now() - this.#sinceMs;
    if (this.#told && session.state !== 'closed') this.#log.tell('back', `back after ${showDuration(afterMs)}`, { afterMs });
    this.#told = false;
  }
}
