import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Makes V8 prefer a small heap to few collections, in this thread and in the workers,
 * which are started later.
 *
 * - A young generation that stays at its first megabyte: beyond it V8 would take 32 MB on the main thread for
 *   the start alone, and keep them. Of the few objects that the data plane makes for a
 *   connection hardly one outlives its scavenge.
 * - An old generation that grows by a tenth and not by the double before it is collected,
 *   as it does on devices with little memory.
 *
 * These flags are read when the heap wants to grow, so they work in a running process however it was started.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
}

/** Collects what a start has left behind; without a change nothing would, as long as the program lives. */
export function collectStartupGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  collect();
}
