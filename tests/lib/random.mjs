/* Chance with a seed, so that what went wrong can be played again. */

export function seedOf(name) {
  return Number(process.env[name] ?? Math.floor(Math.random() * 2 ** 31));
}

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /* In [0, 1): mulberry32. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /* A whole number in [low, high]. */
  int(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share) {
    return this.next() < share;
  }

  of(list) {
    return list[this.int(0, list.length - 1)];
  }

  /* Another source, for somebody who draws at the same time. */
  fork() {
    return new Random(this.int(0, 2 ** 31));
  }
}
