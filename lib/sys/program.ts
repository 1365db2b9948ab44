import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface ProgramOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Text for its standard input. Without it, standard input is empty. */
  readonly input?: string;
  /** Time from SIGTERM to SIGKILL, ms. 0: SIGKILL at once, without SIGTERM. */
  readonly graceMs: number;
  /** Most bytes of standard output. A program that writes more is ended, and its failure is `tooMuch`. */
  readonly outputBytes: number;
  /** Most bytes of standard error that are kept. What is beyond is dropped. */
  readonly errorBytes: number;
  /** The error for a program that writes more than `outputBytes`. */
  readonly tooMuch: () => Error;
}

export interface ProgramResult {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** The first `errorBytes` of standard error. */
  readonly stderr: string;
}

/** A program that runs, from its start to its end. If even SIGKILL does not end it, it is left behind. */
export class Program {
  readonly command: string;
  readonly #options: ProgramOptions;
  readonly #child: ChildProcess;
  readonly #result: Promise<ProgramResult>;
  #giveUp!: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #failure: Error | null = null;

  /** @throws ErrnoException if the kernel cannot make another process */
  constructor(command: string, args: readonly string[], options: ProgramOptions) {
    this.command = command;
    this.#options = options;
    const { env, input } = options;
    // It gets its own process group. So its child processes are ended with it, and Ctrl-C on a terminal
    // reaches kube-portal only.
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#result = this.#follow();
    // `finish` reports the error.
    this.#result.catch(() => undefined);
  }

  /**
   * Waits for the end of the program and of its output.
   * @throws ErrnoException if it cannot be started; the failure that was given to {@link end}
   */
  async finish(): Promise<ProgramResult> {
    try {
      const result = await this.#result;
      if (this.#failure !== null) throw this.#failure;
      return result;
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** Ends the program after `ms`, if it still runs then. A later call replaces the time limit. */
  endWithin(ms: number, failure: () => Error): void {
    if (this.#failure !== null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(failure()), ms);
  }

  /**
   * Sends SIGTERM, and SIGKILL after the grace time. A program that the kernel holds so that SIGKILL does not
   * end it is left behind.
   */
  end(failure: Error): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    clearTimeout(this.#timer);
    const { graceMs } = this.#options;
    if (graceMs > 0) {
      this.#signal('SIGTERM');
      this.#timer = setTimeout(() => this.#kill(failure), graceMs);
    } else this.#kill(failure);
  }

  #follow(): Promise<ProgramResult> {
    const { stdin, stdout, stderr } = this.#child;
    const { input, outputBytes, errorBytes, tooMuch } = this.#options;
    // A program that fails early closes its input. Its exit code and its message tell the cause.
    stdin?.on('error', () => {});
    stdin?.end(input);
    const output = collect(stdout, outputBytes, () => this.end(tooMuch()));
    const complaint = collect(stderr, errorBytes, () => {});
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      this.#child.on('error', reject);
      this.#child.on('close', (code, signal) =>
        resolve({ code, signal, stdout: output(), stderr: complaint() }),
      );
    });
  }

  #kill(failure: Error): void {
    this.#signal('SIGKILL');
    for (const stream of this.#child.stdio ?? []) stream?.destroy();
    this.#child.unref();
    this.#giveUp(failure);
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-(this.#child.pid as number), signal);
    } catch {
      // It has just ended, or it was never started.
    }
  }
}

/**
 * Keeps the first `limit` bytes of a stream. There is no stream if no descriptor was left.
 * @returns a function that gives the text so far
 */
function collect(stream: Readable | null | undefined, limit: number, onMore: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (length < limit) chunks.push(chunk.subarray(0, limit - length));
    length += chunk.length;
    if (length > limit) onMore();
  });
  return () => Buffer.concat(chunks).toString();
}
