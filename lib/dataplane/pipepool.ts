import { Pipe } from '../sys/pipe.js';
import type { DescriptorBudget } from './budget.js';

/**
 * Bytes. Enough for one socket buffer's worth of pages; more gains nothing and counts against
 * fs.pipe-user-pages-soft.
 */
const PIPE_SIZE = 512 * 1024;
const KEPT = 16;
const DESCRIPTORS = 2;

/** Pipes for bulk data, kept for reuse: a connection owns one only while it moves bulk. */
export class PipePool {
  readonly #free: Pipe[] = [];

  constructor(readonly budget: DescriptorBudget) {}

  /** @returns null where descriptors are short; the stream then goes on copying */
  take(): Pipe | null {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    if (!this.budget.take(DESCRIPTORS)) return null;
    const pipe = Pipe.open(PIPE_SIZE);
    if (pipe === null) this.budget.give(DESCRIPTORS);
    return pipe;
  }

  give(pipe: Pipe): void {
    if (pipe.held === 0 && this.#free.length < KEPT) {
      this.#free.push(pipe);
      return;
    }
    pipe.close();
    this.budget.give(DESCRIPTORS);
  }
}
