import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../../examples/backends.js', import.meta.url));

type Child = ChildProcessByStdio<Writable, Readable, null>;

/**
 * The child process with the quickstart's sample backends. The child ends when this process ends,
 * even by SIGKILL: the child's standard input is then closed.
 */
export class Backends {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Resolves once all backends listen. @throws Error if one cannot listen. The child prints the reason. */
  static async start(): Promise<Backends> {
    const child = spawn(process.execPath, [PROGRAM, '--until-stdin-closes'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ready = await Promise.race([
      once(child.stdout, 'data').then(() => true),
      once(child, 'exit').then(() => false),
    ]);
    if (!ready) throw new Error('the sample backends did not start; the reason is printed above');
    return new Backends(child);
  }

  /** Resolves once the child has ended. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin.end();
    await gone;
  }
}
