import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes that are kept while the reader does not read. Beyond this, new lines are dropped. */
const CAPACITY = 64 * 1024;
/** Milliseconds between two attempts to write while the reader does not read. */
const RETRY_MS = 250;

/** Milliseconds that an ending process waits at most for a slow reader of its last lines. */
export const LAST_LINES_MS = 1000;

/**
 * Writes as many bytes as possible without waiting.
 * @returns the number of bytes written; 0 if the other side is full or broken
 */
export type NonBlockingWrite = (bytes: Uint8Array) => number;

/**
 * Writes lines and never waits for the reader. If the reader does not read, or the disk is full, up to
 * 64 KiB of lines are kept, and later lines are dropped and counted. Otherwise a line is written before
 * `write` returns, so no line is lost when the process ends.
 */
export class LineOutput {
  readonly #write: NonBlockingWrite;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #dropped = 0;
  /** How many of the dropped lines `#onDropped` knows. */
  #reportedDrops = 0;
  #onDropped: (count: number) => void = () => {};

  constructor(write: NonBlockingWrite) {
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

  /** Calls back with the number of dropped lines, when the reader reads again. */
  onDropped(report: (count: number) => void): void {
    this.#onDropped = report;
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

  /** Resolves when all lines are written, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.#waitingBytes > 0 && performance.now() < deadline) {
      await sleep(RETRY_MS / 10);
      this.#drain();
    }
  }

  #drain(): void {
    while (this.#waiting.length > 0) {
      const [bytes] = this.#waiting as [Buffer];
      const written = this.#write(bytes);
      this.#waitingBytes -= written;
      if (written < bytes.length) this.#waiting[0] = bytes.subarray(written);
      else this.#waiting.shift();
      if (written === 0) {
        this.#retryLater();
        return;
      }
    }
    if (this.#dropped > this.#reportedDrops) this.#reportDrops();
  }

  #retryLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#drain();
    }, RETRY_MS).unref();
  }

  #reportDrops(): void {
    const count = this.#dropped - this.#reportedDrops;
    this.#reportedDrops = this.#dropped;
    this.#onDropped(count);
  }
}

/*
 * O_NONBLOCK belongs to the open file description, and other programs share it: a shell and its whole
 * pipeline. So a pipe or terminal is opened again, to get a description of our own. Writing in a thread of
 * libuv's pool is no solution: the process cannot end while such a write blocks.
 */
async function writerTo(fd: 1 | 2): Promise<NonBlockingWrite> {
  const kind = fstatSync(fd);
  if (kind.isSocket()) {
    const { sendAtOnce } = await import('../sys/output.js');
    return (bytes) => sendAtOnce(fd, bytes);
  }
  // A write to a file does not block. A file is not opened again, because it would get an offset of its own.
  if (kind.isFile()) return (bytes) => writeTo(fd, bytes);
  let own: number | null = null;
  return (bytes) => {
    own ??= reopen(fd);
    return own === null ? 0 : writeTo(own, bytes);
  };
}

/**
 * Null while a pipe has no reader (ENXIO). If the pipe belongs to another user, it cannot be opened again.
 * The result is then `fd` itself, and writing may block.
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
