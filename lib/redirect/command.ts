import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { RedirectError } from './driver.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  /** Its beginning. */
  readonly stderr: string;
}

/**
 * Runs one program to its end. Resolves to null where the program is not installed.
 * @throws RedirectError if it cannot be started, or writes too much; {@link ProgramHung} if it takes too long
 */
export type RunCommand = (
  program: string,
  args: readonly string[],
  input?: string,
) => Promise<CommandResult | null>;

/** A program did not end in its time and was killed. */
export class ProgramHung extends RedirectError {}

/** How much time and memory programs may take. Times are milliseconds. */
export interface CommandLimits {
  /** For one program; then it gets SIGTERM. A slow board takes some seconds to load ten thousand rules. */
  readonly eachMs: number;
  /** The same once somebody waits for the end of this process. */
  readonly hurriedMs: number;
  /** What a program has to end by itself after SIGTERM, before SIGKILL. */
  readonly graceMs: number;
  /** Most bytes of standard output. All rules of a busy node are some megabytes. */
  readonly outputBytes: number;
}

const LIMITS: CommandLimits = {
  eachMs: 30_000,
  hurriedMs: 10_000,
  graceMs: 1_000,
  outputBytes: 64 * 2 ** 20,
};
/** Of what a program complains about, the first line is told. */
const ERROR_BYTES = 16 * 2 ** 10;

/** Runs programs, none of which can keep this one waiting for ever. */
export class Commands {
  readonly #limits: CommandLimits;
  readonly #running = new Set<RunningProgram>();
  /** When all programs must have ended, in the time of performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(limits: Partial<CommandLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  readonly run: RunCommand = async (program, args, input = '') => {
    const allowedMs = this.#allowedMs();
    if (allowedMs <= 0) throw new ProgramHung(`${program} was not run: no time is left before the end`);
    const running = new RunningProgram(program, args, this.#limits);
    this.#running.add(running);
    running.endWithin(allowedMs);
    try {
      return await running.finish(input);
    } finally {
      this.#running.delete(running);
    }
  };

  /**
   * Programs that run, and those that will be run, get less time from now on, and all of them together this
   * much, ms. A second call cannot give more.
   */
  hurry(ms: number): void {
    this.#deadlineMs = Math.min(this.#deadlineMs, performance.now() + ms);
    for (const running of this.#running) running.endWithin(this.#allowedMs());
  }

  #allowedMs(): number {
    const { eachMs, hurriedMs } = this.#limits;
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return eachMs;
    return Math.min(eachMs, hurriedMs, this.#deadlineMs - performance.now());
  }
}

/** For who runs programs until this process has done its one task. */
export const runCommand: RunCommand = new Commands().run;

/** One program from its start to its end, or to the time when nobody waits for it any more. */
class RunningProgram {
  readonly #program: string;
  readonly #limits: CommandLimits;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number | null>;
  #giveUp!: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #failure: RedirectError | null = null;

  /** @throws RedirectError if the kernel has no room for one more process */
  constructor(program: string, args: readonly string[], limits: CommandLimits) {
    this.#program = program;
    this.#limits = limits;
    // In a process group of its own: what the program has started ends with it,
    // and Ctrl-C on a terminal is for us alone.
    try {
      this.#child = spawn(program, args, { stdio: 'pipe', detached: true });
    } catch (error) {
      throw cannotStart(program, error as Error);
    }
    this.#ended = new Promise((resolve, reject) => {
      this.#giveUp = reject;
      this.#child.on('close', (code) => resolve(code ?? -1));
      this.#child.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ENOENT' ? resolve(null) : reject(cannotStart(program, error)),
      );
    });
  }

  /** Feeds the program and waits for it. */
  async finish(input: string): Promise<CommandResult | null> {
    try {
      // Where descriptors are used up there are no streams either, whatever the type says.
      const [stdout, stderr] = this.#child.pid === undefined ? [() => '', () => ''] : this.#talk(input);
      const code = await this.#ended;
      if (this.#failure !== null) throw this.#failure;
      return code === null ? null : { code, stdout: stdout(), stderr: stderr() };
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** Ends the program unless it has ended by then. */
  endWithin(ms: number): void {
    if (this.#failure !== null) return;
    clearTimeout(this.#timer);
    const seconds = Math.ceil(ms / 1000);
    this.#timer = setTimeout(() => {
      this.#end(new ProgramHung(`${this.#program} did not end within ${seconds} s and was killed`));
    }, ms);
  }

  #talk(input: string): [() => string, () => string] {
    const { stdin, stdout, stderr } = this.#child;
    // A program that fails early closes its input; its exit code and message tell the story.
    stdin.on('error', () => {});
    stdin.end(input);
    const { outputBytes } = this.#limits;
    const tooMuch = () =>
      this.#end(new RedirectError(`${this.#program} wrote more than ${outputBytes} bytes and was killed`));
    return [collect(stdout, outputBytes, tooMuch), collect(stderr, ERROR_BYTES, () => {})];
  }

  /** SIGTERM, then SIGKILL. What even that does not end, as the kernel holds it, is left behind. */
  #end(failure: RedirectError): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    clearTimeout(this.#timer);
    this.#signal('SIGTERM');
    this.#timer = setTimeout(() => {
      this.#signal('SIGKILL');
      const { stdin, stdout, stderr } = this.#child;
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
      this.#child.unref();
      this.#giveUp(failure);
    }, this.#limits.graceMs);
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-(this.#child.pid as number), signal);
    } catch {
      // It has ended in this moment.
    }
  }
}

/** Keeps what a stream brings, up to a number of bytes. @returns what tells it */
function collect(stream: Readable, limit: number, onMore: () => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > limit) return onMore();
    chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString();
}

function cannotStart(program: string, error: Error): RedirectError {
  return new RedirectError(`${program} could not be started: ${error.message}`);
}
