import { EchoBatch } from './echo-batch.js';
import { COUNTER } from './plan.js';

const BATCH = 64;
const LARGEST_DATAGRAM = 2048;

/** Behind the counting port: takes datagrams in and answers questions about them, see COUNTER. */
export class Counter {
  readonly #batch = new EchoBatch(BATCH, LARGEST_DATAGRAM, true);
  #run = 0;
  #count = 0;
  #firstAt = 0;
  #lastAt = 0;

  /** To be called when there is something to read. */
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
