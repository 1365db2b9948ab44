import { Program } from '../sys/program.js';
import { RedirectError } from './driver.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  /** The first 16 KiB. */
  readonly stderr: string;
}

/**
 * Runs one program to its end. Resolves to null if the program is not installed.
 * @throws RedirectError if the program cannot be started or writes too much
 * @throws ProgramHung if it does not end in time
 */
export type RunCommand = (
  program: string,
  args: readonly string[],
  input?: string,
) => Promise<CommandResult | null>;

/** A program did not end in time and was killed, or no time was left to start it. */
export class ProgramHung extends RedirectError {}

/** How much time and memory a program may take. */
export interface CommandLimits {
  /**
   * Milliseconds for one program. Then it gets SIGTERM. Default: 30,000. A slow board takes some seconds to
   * load ten thousand rules.
   */
  readonly eachMs: number;
  /** Milliseconds for one program after {@link Commands.hurry}. Default: 10,000. */
  readonly hurriedMs: number;
  /** Milliseconds between SIGTERM and SIGKILL. Default: 1000. */
  readonly graceMs: number;
  /**
   * Bytes of standard output. A program that writes more is killed. Default: 64 MiB. All rules of a busy
   * node are some megabytes.
   */
  readonly outputBytes: number;
}

const LIMITS: CommandLimits = {
  eachMs: 30_000,
  hurriedMs: 10_000,
  graceMs: 1_000,
  outputBytes: 64 * 2 ** 20,
};
/** Bytes of standard error that are kept. Messages show the first line. */
const ERROR_BYTES = 16 * 2 ** 10;

/** Runs programs, each with a limit of time and memory. */
export class Commands {
  readonly #limits: CommandLimits;
  readonly #running = new Set<Program>();
  /** When all programs must have ended, by the clock of performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(limits: Partial<CommandLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  readonly run: RunCommand = async (program, args, input = '') => {
    const allowedMs = this.#allowedMs();
    if (allowedMs <= 0)
      throw new ProgramHung(`${program} was not run: kube-portal ends and has no time left for it`);
    try {
      return await this.#finish(this.#start(program, args, input), allowedMs);
    } catch (error) {
      if (error instanceof RedirectError) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return null;
      throw new RedirectError(`${program} could not be started: ${message}`);
    }
  };

  /**
   * Gives all programs together this many milliseconds from now: the running ones and those that start
   * later. A later call can only shorten the time.
   */
  hurry(ms: number): void {
    this.#deadlineMs = Math.min(this.#deadlineMs, performance.now() + ms);
    for (const running of this.#running) endWithin(running, this.#allowedMs());
  }

  #start(program: string, args: readonly string[], input: string): Program {
    const { graceMs, outputBytes } = this.#limits;
    return new Program(program, args, {
      input,
      graceMs,
      outputBytes,
      errorBytes: ERROR_BYTES,
      tooMuch: () => new RedirectError(`${program} wrote more than ${outputBytes} bytes and was killed`),
    });
  }

  async #finish(running: Program, allowedMs: number): Promise<CommandResult> {
    this.#running.add(running);
    endWithin(running, allowedMs);
    try {
      const { code, stdout, stderr } = await running.finish();
      return { code: code ?? -1, stdout, stderr };
    } finally {
      this.#running.delete(running);
    }
  }

  #allowedMs(): number {
    const { eachMs, hurriedMs } = this.#limits;
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return eachMs;
    return Math.min(eachMs, hurriedMs, this.#deadlineMs - performance.now());
  }
}

/** Runs programs for a process that ends without a time limit. */
export const runCommand: RunCommand = new Commands().run;

function endWithin(running: Program, ms: number): void {
  const seconds = Math.ceil(ms / 1000);
  running.endWithin(
    ms,
    () => new ProgramHung(`${running.command} did not end within ${seconds} s and was killed`),
  );
}
