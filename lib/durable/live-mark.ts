// LiveMark: whether a session's record is marked live (something may have happened that it does not tell), and whether it should be. What
// becomes of the session's circuits goes in; out comes whether a write may leave the record clean. Pure.

export class LiveMark {
  /** As long as a circuit carries the session, or as this process holds it: then others send its peer here. */
  readonly #liveWhile: 'attached' | 'held';
  #live = true;
  #detached: boolean;
  /** Generation of a circuit that was granted the session and does not carry it yet; 0: none is on its way. */
  #awaited: number;
  #leaving = false;

  /** @param awaited the circuit for which the session was taken from the store; 0 where a circuit carries it already */
  constructor(liveWhile: 'attached' | 'held', awaited: number) {
    this.#liveWhile = liveWhile;
    this.#awaited = awaited;
    this.#detached = awaited > 0;
  }

  get detached(): boolean {
    return this.#detached;
  }

  /** The record does not tell everything, or may not. */
  get live(): boolean {
    return this.#live;
  }

  /** A write may leave the record clean: no circuit carries the session, or is about to, and it need not stay here. */
  get mayGo(): boolean {
    return this.#detached && this.#awaited === 0 && (this.#leaving || this.#liveWhile === 'attached');
  }

  /** It is marked live and should not be: to others this looks like a process that has crashed. */
  get stale(): boolean {
    return this.#live && this.mayGo;
  }

  /** The store has granted it to a circuit of this generation. Until that has its verdict a release could come behind the claim. */
  claimed(generation: number): void {
    this.#live = true;
    this.#awaited = generation;
  }

  /** The circuit of this generation has its verdict. @returns whether it was awaited */
  judged(generation: number): boolean {
    if (this.#awaited !== generation) return false;
    this.#awaited = 0;
    return true;
  }

  attachedNow(): void {
    this.#detached = false;
    this.#awaited = 0;
  }

  detachedNow(): void {
    this.#detached = true;
    this.#awaited = 0;
  }

  /** This process lets the session go. */
  leave(): void {
    this.#leaving = true;
    this.#awaited = 0;
  }

  written(clean: boolean): void {
    this.#live = !clean;
  }
}
