import { Pipe } from '../../../sys/pipe.js';
import type { DescriptorBudget } from '../../shared/budget.js';

/**
 * Bytes. Enough for one socket buffer's worth of pages; more gains nothing and counts against
 * fs.pipe-user-pages-soft.
 */
const PIPE_SIZE = 512 * 1024;
/** Pipes of one worker. More than these many slow readers at once are served by copying. */
const MOST = 64;
const KEPT = 16;
const DESCRIPTORS = 2;

/**
 * Pipes for bulk data, kept for reuse: a connection owns one only while data is inside. They are a luxury,
 * and so never the reason why a connection has to wait for descriptors.
 */
export class PipePool {
  readonly #free: Pipe[] = [];
  #open = 0;
  #isRefused = false;

  constructor(readonly budget: DescriptorBudget) {}

  /**
   * @returns null where descriptors are short, or the kernel does not splice; the stream then goes on copying
   */
  take(): Pipe | null {
    if (this.#isRefused) return null;
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    if (this.#open >= MOST || this.budget.isHalfUsed || !this.budget.take(DESCRIPTORS)) return null;
    const pipe = Pipe.open(PIPE_SIZE);
    if (pipe === null) this.budget.give(DESCRIPTORS);
    else this.#open++;
    return pipe;
  }

  give(pipe: Pipe): void {
    if (pipe.held === 0 && this.#free.length < KEPT) this.#free.push(pipe);
    else this.#close(pipe);
  }

  /** This kernel does not splice from or to sockets: no pipe is given any more. */
  refuse(): void {
    this.#isRefused = true;
    this.shrink();
  }

  /** Closes the pipes that nobody uses. */
  shrink(): void {
    for (const pipe of this.#free.splice(0)) this.#close(pipe);
  }

  #close(pipe: Pipe): void {
    pipe.close();
    this.#open--;
    this.budget.give(DESCRIPTORS);
  }
}
