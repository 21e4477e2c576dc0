// OneByOne: work on one session at a time, in the order in which it was asked for; work on different sessions goes side by side.

export class OneByOne {
  readonly #running = new Map<string, Promise<unknown>>();

  run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#running.get(id) ?? Promise.resolve();
    const run = before.then(work);
    const settled = run.then(ignore, ignore).then(() => {
      if (this.#running.get(id) === settled) this.#running.delete(id);
    });
    this.#running.set(id, settled);
    return run;
  }

  /** Resolves when what runs now is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }
}

function ignore(): void {}
