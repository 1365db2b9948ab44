import { setImmediate as otherWork } from 'node:timers/promises';

/** Work in steps of about a millisecond. {@link atOnce} and {@link inTurns} run it. */
export type Steps<T> = Generator<void, T, void>;

/** Runs all steps now. For worker threads, which have no Node event loop for other work. */
export function atOnce<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** Runs the steps, with other work of the main thread between them. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (step.done !== true) {
    await otherWork();
    step = steps.next();
  }
  return step.value;
}
