import type { PreparedChange } from './driver.js';

/** Ensures that a driver prepares one change at a time, and commits or abandons each change once. */
export class OneChange {
  #isOpen = false;

  /**
   * @throws Error if another change is open: the new change would build on a state that the kernel does not
   * have
   */
  begin(): void {
    if (this.#isOpen) throw new Error('the redirect change before this one was not committed');
    this.#isOpen = true;
  }

  /**
   * The change that was begun. Its `commit` does the work.
   * @param abandon called by the change's `abandon`, which also lets the next change begin
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

  /** Closes the open change: it cannot be prepared, or an audit makes it. */
  end(): void {
    this.#isOpen = false;
  }
}
