import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface ProgramOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its standard input; none unless given. */
  readonly input?: string;
  /** How long it may go on after SIGTERM, ms; then it gets SIGKILL. 0 for SIGKILL at once. */
  readonly graceMs: number;
  /** Most bytes of standard output. */
  readonly outputBytes: number;
  /** So many bytes of what it complains about are kept. */
  readonly errorBytes: number;
  /** What is wrong with one that writes more. */
  readonly tooMuch: () => Error;
}

export interface ProgramResult {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** Its beginning. */
  readonly stderr: string;
}

/** One program from its start to its end, or to the time when nobody waits for it any more. */
export class Program {
  readonly command: string;
  readonly #options: ProgramOptions;
  readonly #child: ChildProcess;
  readonly #result: Promise<ProgramResult>;
  #giveUp!: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #failure: Error | null = null;

  /** @throws ErrnoException if the kernel has no room for one more process */
  constructor(command: string, args: readonly string[], options: ProgramOptions) {
    this.command = command;
    this.#options = options;
    const { env, input } = options;
    // A process group of its own: what it has started ends with it, and Ctrl-C on a terminal is for us alone.
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#result = this.#follow();
    // Whoever waits for it hears of it.
    this.#result.catch(() => undefined);
  }

  /**
   * Waits for its end, and for the end of its output.
   * @throws ErrnoException if it cannot be started; what {@link end} was told
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

  /** Ends it unless it has ended by then, in the place of an earlier time. */
  endWithin(ms: number, failure: () => Error): void {
    if (this.#failure !== null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(failure()), ms);
  }

  /** SIGTERM, then SIGKILL. What even that does not end, as the kernel holds it, is left behind. */
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
    // A program that fails early closes its input; its exit code and message tell the story.
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
      // It has ended in this moment, or it was never started.
    }
  }
}

/**
 * Keeps so many bytes of what a stream brings. Where descriptors are used up there is no stream.
 * @returns what tells them
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
