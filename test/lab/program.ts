import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The program is killed after this time, ms. Only there so that a test that hangs ends with a message. */
  readonly timeoutMs?: number;
}

export interface Result {
  /** Exit code; null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Milliseconds. A test waits no longer for something that comes at once. No machine is so slow or busy. */
export const PATIENCE_MS = 120_000;

/**
 * A running program with its output. It dies with this process, however this process ends (prctl(2),
 * PR_SET_PDEATHSIG, through setpriv), so that a test that was killed leaves no program behind.
 */
export class Program {
  stdout = '';
  stderr = '';
  /** Resolves to the exit code when the program and its output have ended; null where a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #title: string;
  readonly #onOutput = new Set<() => void>();
  #running = true;

  constructor(command: readonly string[], { input, env }: RunOptions = {}) {
    this.#title = command.join(' ');
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { env: { ...process.env, ...env } });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => this.#append('stdout', text));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => this.#append('stderr', text));
    // A program that ends without reading its input is no error of ours.
    this.#child.stdin.on('error', () => {});
    if (input !== undefined) this.#child.stdin.end(input);
    this.exited = once(this.#child, 'close').then(([code]) => {
      this.#running = false;
      this.#notify();
      return code as number | null;
    });
  }

  /** The program's own process id: what starts it replaces itself with it. */
  get pid(): number {
    return this.#child.pid as number;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Writes to standard input. */
  write(text: string): void {
    this.#child.stdin.write(text);
  }

  closeInput(): void {
    this.#child.stdin.end();
  }

  /** Resolves once it has ended, killed when the time is up. @throws Error then */
  async finish(timeoutMs = PATIENCE_MS): Promise<Result> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#child.kill('SIGKILL');
    }, timeoutMs);
    const code = await this.exited;
    clearTimeout(timer);
    if (late) throw new Error(`${this.#title} did not end within ${timeoutMs} ms\n${this.#excerpt()}`);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  /** Sends a signal and waits for the end. Resolves to the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#running) this.#child.kill(signal);
    return (await this.finish()).code;
  }

  /** Resolves to the match in standard output or standard error. @throws Error at the time-out or the end */
  waitForOutput(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpExecArray> {
    return this.waitFor(
      () => pattern.exec(this.stdout) ?? pattern.exec(this.stderr),
      String(pattern),
      timeoutMs,
    );
  }

  /** Resolves to the first result of `look` that is not null; it is asked whenever there is new output. */
  waitFor<T>(look: () => T | null, what: string, timeoutMs = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        this.#onOutput.delete(check);
        finish();
      };
      const fail = (why: string) => () =>
        reject(new Error(`${this.#title}: ${why}, without ${what}\n${this.#excerpt()}`));
      const check = () => {
        const found = look();
        if (found !== null) settle(() => resolve(found));
        else if (!this.#running) settle(fail('it ended'));
      };
      const timer = setTimeout(() => settle(fail(`${timeoutMs} ms passed`)), timeoutMs);
      this.#onOutput.add(check);
      check();
    });
  }

  /** Resident memory, bytes. */
  rss(): number {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(match?.[1]) * 1024;
  }

  /** How many descriptors it has open. */
  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  #append(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text;
    this.#notify();
  }

  #notify(): void {
    for (const check of [...this.#onOutput]) check();
  }

  #excerpt(): string {
    return `stdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`;
  }
}

/** Runs a program to its end. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Result> {
  const program = new Program(command, options);
  if (options.input === undefined) program.closeInput();
  return program.finish(options.timeoutMs);
}

/** Runs a program that must succeed. Resolves to its standard output. @throws Error with its messages */
export async function runOrThrow(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(' ')} failed (${code}): ${stderr}${stdout}`);
  return stdout;
}
