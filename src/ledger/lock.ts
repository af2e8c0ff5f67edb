/** Lets one piece of asynchronous work run at a time, in order of arrival. */
export class Lock {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` after all that came before. @returns What the work returns or throws. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // The next in line must come to its turn whatever became of this one.
    this.#last = result.catch(() => {});
    return result;
  }
}
