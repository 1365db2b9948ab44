import { EchoBatch } from './echo-batch.js';
import { COUNTER } from './plan.js';

const BATCH = 64;
const MAX_DATAGRAM_BYTES = 2048;

/** Counts the datagrams of the counting port, and answers questions about them, see {@link COUNTER}. */
export class Counter {
  readonly #batch = new EchoBatch(BATCH, MAX_DATAGRAM_BYTES, true);
  #run = 0;
  #count = 0;
  #firstAt = 0;
  #lastAt = 0;

  /** Call it when the socket has datagrams. */
  receive(fd: number): void {
    const batch = this.#batch;
    const count = batch.receive(fd);
    const now = performance.now();
    for (let slot = 0; slot < count; slot++) {
      const at = batch.wordOf(slot);
      const run = batch.words[at + COUNTER.run];
      if (run > this.#run) this.#begin(run, now);
      if (batch.words[at + COUNTER.question] === 1) {
        this.#answer(at);
        batch.send(fd, 1, slot);
      } else if (run === this.#run) {
        this.#count++;
        this.#lastAt = now;
      }
    }
  }

  #begin(run: number, now: number): void {
    this.#run = run;
    this.#count = 0;
    this.#firstAt = now;
    this.#lastAt = now;
  }

  #answer(at: number): void {
    const { words } = this.#batch;
    words[at + COUNTER.run] = this.#run;
    words[at + COUNTER.count] = this.#count;
    words[at + COUNTER.span] = (this.#lastAt - this.#firstAt) * 1000;
  }
}
