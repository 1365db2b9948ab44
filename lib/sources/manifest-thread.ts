import { parentPort, workerData } from 'node:worker_threads';
import { textOf } from '../sys/filetext.js';
import { readChunks } from './chunks.js';
import { batchesOf } from './fragments.js';
import type { ReadTask } from './manifest-reading.js';

/*
 * A thread that parses one large manifest. It answers each message with one batch, so that the main thread
 * can do other work between two batches. After the last batch it answers null.
 */
const { bytes, known } = workerData as ReadTask;
const batches = batchesOf(readChunks(textOf(bytes), known));

parentPort?.on('message', () => {
  const { done, value } = batches.next();
  parentPort?.postMessage(done ? null : value);
});
