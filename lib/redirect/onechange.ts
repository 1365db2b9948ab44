import type { PreparedChange } from './driver.js';

/** Sees to it that a driver's changes come one after the other, and that each is committed or abandoned once. */
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

  /**
   * The change that has begun. Its `commit` does the work.
   * @param abandon what `abandon` does beside letting the next change begin
   */
  prepared(work: () => Promise<void>, abandon: () => void = () => undefined): PreparedChange {
    let isOver = false;
    const endOnce = () => {
      if (isOver) throw new Error('this redirect change was committed before, or abandoned');
      isOver = true;
      this.end();
    };
    return {
      commit: async () => {
        endOnce();
        await work();
      },
      abandon: () => {
        endOnce();
        abandon();
      },
    };
  }

  /** The change cannot be prepared, or an audit puts it in place. */
  end(): void {
    this.#isOpen = false;
  }
}
