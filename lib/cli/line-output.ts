import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What waits for its reader, bytes; beyond it lines are dropped. */
const CAPACITY = 64 * 1024;
/** How often, ms, a reader that did not read is tried again. */
const RETRY_MS = 250;

/** How long a process that ends waits, ms, for who reads its last lines slowly. */
export const LAST_LINES_MS = 1000;

/**
 * Writes what is taken at once.
 * @returns how many bytes that were; 0 where the other side is full or broken
 */
export type WriteAtOnce = (bytes: Uint8Array) => number;

/**
 * Lines for somebody who may not read them, or a file on a disk that may be full. Writing never waits: lines
 * are kept for a while, then dropped and counted. As long as they are taken they are written within the call,
 * so none is lost when the process ends.
 */
export class LineOutput {
  readonly #write: WriteAtOnce;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #dropped = 0;
  #told = 0;
  #onDropped: (count: number) => void = () => {};

  constructor(write: WriteAtOnce) {
    this.#write = write;
  }

  /** For standard output (1) or standard error (2). */
  static async of(fd: 1 | 2): Promise<LineOutput> {
    return new LineOutput(await writerTo(fd));
  }

  /** Lines dropped since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Calls back with the number of lines that were dropped, once lines are taken again. */
  onDropped(tell: (count: number) => void): void {
    this.#onDropped = tell;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes > 0) this.#drain();
    if (this.#waitingBytes + bytes.length > CAPACITY) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#drain();
  }

  /** Waits for a slow reader, but no longer than this, ms. */
  async flush(patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (this.#waitingBytes > 0 && performance.now() < deadline) {
      await sleep(RETRY_MS / 10);
      this.#drain();
    }
  }

  #drain(): void {
    while (this.#waiting.length > 0) {
      const [bytes] = this.#waiting as [Buffer];
      const taken = this.#write(bytes);
      this.#waitingBytes -= taken;
      if (taken < bytes.length) this.#waiting[0] = bytes.subarray(taken);
      else this.#waiting.shift();
      if (taken === 0) {
        this.#retryLater();
        return;
      }
    }
    if (this.#dropped > this.#told) this.#tell();
  }

  #retryLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#drain();
    }, RETRY_MS).unref();
  }

  #tell(): void {
    const count = this.#dropped - this.#told;
    this.#told = this.#dropped;
    this.#onDropped(count);
  }
}

/*
 * O_NONBLOCK is a property of the open file description, which other programs share: a shell and its whole
 * pipeline. So a pipe or terminal is opened once more, for a description of our own. Writing in a thread of
 * the pool would not do: the process could not end while one waits.
 */
async function writerTo(fd: 1 | 2): Promise<WriteAtOnce> {
  const kind = fstatSync(fd);
  if (kind.isSocket()) {
    const { sendAtOnce } = await import('../sys/output.js');
    return (bytes) => sendAtOnce(fd, bytes);
  }
  // A file takes all or says that the disk is full; opened once more, it would have an offset of its own.
  if (kind.isFile()) return (bytes) => writeTo(fd, bytes);
  let own: number | null = null;
  return (bytes) => {
    own ??= reopen(fd);
    return own === null ? 0 : writeTo(own, bytes);
  };
}

/**
 * Null as long as a pipe has no reader. One that belongs to another user cannot be opened: there,
 * writing may wait.
 */
function reopen(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENXIO' ? null : fd;
  }
}

function writeTo(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch {
    return 0;
  }
}
