import type { PreparedChange } from './driver.js';

/** Sees to it that a driver's changes come one after the other, and that each is committed once. */
export class OneChange {
  #isOpen = false;

  /**
   * @throws Error while another change is open:
   * what the caller prepares would build on what the kernel has not heard of
   */
  begin(): void {
    if (this.#isOpen) throw new Error('the redirect change before this one was not committed');
    this.#isOpen = true;
  }

  /** The change that has begun. Its `commit` does the work. */
  prepared(work: () => Promise<void>): PreparedChange {
    let isCommitted = false;
    return {
      commit: async () => {
        if (isCommitted) throw new Error('this redirect change was committed before');
        isCommitted = true;
        this.end();
        await work();
      },
    };
  }

  /** The change cannot be prepared, or an audit puts it in place. */
  end(): void {
    this.#isOpen = false;
  }
}
