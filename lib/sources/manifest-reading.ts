import { Worker } from 'node:worker_threads';
import { textOf } from '../sys/filetext.js';
import { readRegularFile } from '../sys/readfile.js';
import { readPipe } from '../sys/readpipe.js';
import { type KnownChunks, type ReadChunk, readChunks, TooMuchYaml } from './chunks.js';
import { ChunkAssembler, type Fragment } from './fragments.js';
import { type FileState, knownChunks, stateOf } from './manifest-file.js';

/** Half of the longest string that V8 can make. A larger file is refused. */
const FILE_LIMITS = { maxBytes: 256 << 20 };
/**
 * Bytes of a file and characters of its YAML. A file up to these sizes is parsed in this thread, within about
 * half a second on a fast PC. A larger file is parsed in another thread. Objects from another thread share
 * no strings and no empty lists, so they take a tenth more memory while they are served.
 */
const MAX_BYTES_HERE = 16 << 20;
const MAX_YAML_HERE = 128 << 10;

/** The file that another thread parses. */
export interface ReadTask {
  readonly bytes: Uint8Array;
  /** Hashes of chunks that need not be parsed again. */
  readonly known: ReadonlySet<string>;
}

/**
 * Reads a manifest file. A large file is parsed in another thread, so that this thread can answer requests
 * and signals.
 *
 * @param signal cancels the reading
 * @throws Error that says why the whole file cannot be read
 */
export async function readManifestFile(
  file: string,
  before: FileState | undefined,
  signal: AbortSignal,
): Promise<FileState> {
  return await readBytes(file, await readRegularFile(file, FILE_LIMITS), before, signal);
}

/**
 * Reads a manifest from a pipe to the end of the pipe.
 *
 * @param signal cancels the reading
 * @throws Error that says why it cannot be read
 */
export async function readManifestPipe(path: string, signal: AbortSignal): Promise<FileState> {
  return await readBytes(path, await readPipe(path, FILE_LIMITS.maxBytes, signal), undefined, signal);
}

async function readBytes(
  file: string,
  bytes: Buffer,
  before: FileState | undefined,
  signal: AbortSignal,
): Promise<FileState> {
  const known = knownChunks(before);
  const chunks =
    readHere(bytes, known) ?? (await readInThread({ bytes, known: new Set(known.keys()) }, signal));
  return stateOf(file, chunks, before);
}

/** Null if the file is too large for this thread. */
function readHere(bytes: Buffer, known: KnownChunks): ReadChunk[] | null {
  if (bytes.length > MAX_BYTES_HERE) return null;
  try {
    return [...readChunks(textOf(bytes), known, MAX_YAML_HERE)];
  } catch (error) {
    if (error instanceof TooMuchYaml) return null;
    throw error;
  }
}

async function readInThread(task: ReadTask, signal: AbortSignal): Promise<ReadChunk[]> {
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
    const assembler = new ChunkAssembler();
    thread.on('message', (batch: readonly Fragment[] | null) => {
      if (batch === null) return resolve(assembler.chunks);
      for (const fragment of batch) assembler.add(fragment);
      thread.postMessage('next');
    });
    thread.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new Error(NO_MEMORY) : error),
    );
    thread.on('exit', () => reject(new Error('the thread that parses it has ended')));
    thread.postMessage('next');
  });
}

const NO_MEMORY = 'there is not enough memory to parse it; write JSON (kubectl get -o json) or several files';
