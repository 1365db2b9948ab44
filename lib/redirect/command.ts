import { Program } from '../sys/program.js';
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
  readonly #running = new Set<Program>();
  /** When all programs must have ended, in the time of performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(limits: Partial<CommandLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  readonly run: RunCommand = async (program, args, input = '') => {
    const allowedMs = this.#allowedMs();
    if (allowedMs <= 0) throw new ProgramHung(`${program} was not run: no time is left before the end`);
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
   * Programs that run, and those that will be run, get less time from now on, and all of them together this
   * much, ms. A second call cannot give more.
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

/** For who runs programs until this process has done its one task. */
export const runCommand: RunCommand = new Commands().run;

function endWithin(running: Program, ms: number): void {
  const seconds = Math.ceil(ms / 1000);
  running.endWithin(
    ms,
    () => new ProgramHung(`${running.command} did not end within ${seconds} s and was killed`),
  );
}
