/** Seeded random numbers (mulberry32): a run of the simulator is its seed and nothing else. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns the numbers of one place of a run: what is drawn at others does not change them. */
  static at(seed: number, ...places: readonly number[]): Random {
    let state = seed;
    for (const place of places)
      state = new Random(state ^ Math.imul(place + 1, 0x9e3779b1)).next() * 2 ** 32;
    return new Random(state);
  }

  /** Returns a number in 0..1, 1 not included. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Returns an integer in 0..count-1. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  /** Tells yes with a probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }
}
