import { Pipe } from '../../../sys/pipe.js';
import type { DescriptorBudget } from '../../shared/budget.js';

/**
 * Bytes. The pages of one socket buffer fit. A larger pipe gains nothing and counts against
 * fs.pipe-user-pages-soft.
 */
const PIPE_SIZE = 512 * 1024;
/** Limit of pipes in one worker. Beyond it, streams copy. */
const MAX_PIPES = 64;
/** Limit of unused pipes that stay open. */
const MAX_FREE_PIPES = 16;
const DESCRIPTORS_PER_PIPE = 2;

/**
 * Pipes for bulk data, kept for reuse. A connection owns a pipe only while data is in it. Pipes take
 * descriptors only while at least half of the budget is left, so no connection has to wait because of them.
 */
export class PipePool {
  readonly #free: Pipe[] = [];
  #open = 0;
  #isRefused = false;

  constructor(readonly budget: DescriptorBudget) {}

  /**
   * @returns null if there is no descriptor for a pipe, or the kernel does not splice: then the stream copies
   */
  take(): Pipe | null {
    if (this.#isRefused) return null;
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    if (this.#open >= MAX_PIPES || this.budget.isHalfUsed || !this.budget.take(DESCRIPTORS_PER_PIPE))
      return null;
    const pipe = Pipe.open(PIPE_SIZE);
    if (pipe === null) this.budget.give(DESCRIPTORS_PER_PIPE);
    else this.#open++;
    return pipe;
  }

  give(pipe: Pipe): void {
    if (pipe.held === 0 && this.#free.length < MAX_FREE_PIPES) this.#free.push(pipe);
    else this.#close(pipe);
  }

  /** The kernel does not splice from or to sockets. From now on {@link take} returns null. */
  refuse(): void {
    this.#isRefused = true;
    this.shrink();
  }

  /** Closes the unused pipes. */
  shrink(): void {
    for (const pipe of this.#free.splice(0)) this.#close(pipe);
  }

  #close(pipe: Pipe): void {
    pipe.close();
    this.#open--;
    this.budget.give(DESCRIPTORS_PER_PIPE);
  }
}
