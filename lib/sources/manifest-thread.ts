import { parentPort, workerData } from 'node:worker_threads';
import { textOf } from '../sys/filetext.js';
import { readChunks } from './chunks.js';
import { batchesOf } from './fragments.js';
import type { Task } from './manifest-reading.js';

/*
 * A thread that reads one large manifest. It sends a batch when it is asked for one, so that whoever takes
 * them in can do other things in between, and null after the last.
 */
const { bytes, known } = workerData as Task;
const batches = batchesOf(readChunks(textOf(bytes), known));

parentPort?.on('message', () => {
  const { done, value } = batches.next();
  parentPort?.postMessage(done ? null : value);
});
