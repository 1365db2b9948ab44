import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { collectStartupGarbage } from '../../lib/sys/startup-garbage.js';

const BLOCKS = 300_000;
/** One of so many blocks stays in use. So nearly every page of the heap has one. */
const SPARSENESS = 50;

/** Bytes that this thread's heap takes from the kernel, before and after the collection of the garbage. */
export interface Sizes {
  readonly full: number;
  readonly collected: number;
}

export async function measure(): Promise<Sizes> {
  const kept = fragmentHeap();
  const full = getHeapStatistics().total_heap_size;
  await collectStartupGarbage();
  const collected = getHeapStatistics().total_heap_size;
  if (kept.length !== BLOCKS / SPARSENESS) throw new Error('blocks in use are gone');
  return { full, collected };
}

function fragmentHeap(): readonly (readonly number[])[] {
  const blocks = Array.from({ length: BLOCKS }, (_, i) => Array.from({ length: 8 }, () => i));
  return blocks.filter((_, i) => i % SPARSENESS === 0);
}

// Run as a worker.
if (parentPort !== null) parentPort.postMessage(await measure());
