import { Worker } from 'node:worker_threads';
import { textOf } from '../sys/filetext.js';
import { readRegularFile } from '../sys/readfile.js';
import { readPipe } from '../sys/readpipe.js';
import { type KnownChunks, type ReadChunk, readChunks, SlowText } from './chunks.js';
import { Assembly, type Fragment } from './fragments.js';
import { type FileState, knownChunks, stateOf } from './manifest-file.js';

/** V8 has no longer strings than twice this. */
const LIMITS = { maxBytes: 256 << 20 };
/**
 * Up to these sizes a file is read in this thread, which takes half a second on a machine of today: what
 * another thread sends shares no strings and no empty lists,
 * and takes a tenth more memory for as long as it is served.
 */
const QUICK_BYTES = 16 << 20;
const QUICK_YAML = 128 << 10;

/** What the thread for large files is told. */
export interface Task {
  readonly bytes: Uint8Array;
  /** Hashes of chunks that need not be read again. */
  readonly known: ReadonlySet<string>;
}

/**
 * Reads a manifest file. A large one is read in a thread of its own,
 * so that this one goes on to answer and to obey.
 *
 * @param signal gives up
 * @throws Error that says why the file as a whole cannot be read
 */
export async function readManifestFile(
  file: string,
  before: FileState | undefined,
  signal: AbortSignal,
): Promise<FileState> {
  return await readBytes(file, await readRegularFile(file, LIMITS), before, signal);
}

/**
 * Reads a manifest from a pipe, once, to its end.
 *
 * @param signal gives up
 * @throws Error that says why it cannot be read
 */
export async function readManifestPipe(path: string, signal: AbortSignal): Promise<FileState> {
  return await readBytes(path, await readPipe(path, LIMITS.maxBytes, signal), undefined, signal);
}

async function readBytes(
  file: string,
  bytes: Buffer,
  before: FileState | undefined,
  signal: AbortSignal,
): Promise<FileState> {
  const known = knownChunks(before);
  const chunks =
    readAtOnce(bytes, known) ?? (await readInThread({ bytes, known: new Set(known.keys()) }, signal));
  return stateOf(file, chunks, before);
}

/** Null where it would take too long. */
function readAtOnce(bytes: Buffer, known: KnownChunks): ReadChunk[] | null {
  if (bytes.length > QUICK_BYTES) return null;
  try {
    return [...readChunks(textOf(bytes), known, QUICK_YAML)];
  } catch (error) {
    if (error instanceof SlowText) return null;
    throw error;
  }
}

async function readInThread(task: Task, signal: AbortSignal): Promise<ReadChunk[]> {
  signal.throwIfAborted();
  const thread = new Worker(new URL('./manifest-thread.js', import.meta.url), {
    name: 'manifest',
    workerData: task,
    resourceLimits: {
      maxOldGenerationSizeMb: process.availableMemory() / 2 ** 21,
      maxYoungGenerationSizeMb: 64,
    },
  });
  const onAbort = () => void thread.terminate();
  signal.addEventListener('abort', onAbort);
  try {
    return await answerOf(thread);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await thread.terminate();
  }
}

function answerOf(thread: Worker): Promise<ReadChunk[]> {
  return new Promise((resolve, reject) => {
    const assembly = new Assembly();
    thread.on('message', (batch: readonly Fragment[] | null) => {
      if (batch === null) return resolve(assembly.chunks);
      for (const fragment of batch) assembly.add(fragment);
      thread.postMessage('next');
    });
    thread.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new Error(NO_MEMORY) : error),
    );
    thread.on('exit', () => reject(new Error('the thread that reads it has ended')));
    thread.postMessage('next');
  });
}

const NO_MEMORY = 'there is not enough memory to parse it; write JSON (kubectl get -o json) or several files';
