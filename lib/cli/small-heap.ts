import { setFlagsFromString } from 'node:v8';

/**
 * Makes V8 keep the heap small and collect more often: in this thread and in workers that start later.
 *
 * - The young generation stays at its first megabyte. Without this, V8 takes 32 MB on the main thread during
 *   the start and keeps them. The data plane makes few objects for a connection, and few of them survive a
 *   scavenge.
 * - The old generation is collected when it has grown by about a tenth, not when it has doubled. V8 does this
 *   on devices with little memory.
 *
 * V8 reads these flags when the heap grows, so they also work in a running process.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--optimize-for-size');
}
