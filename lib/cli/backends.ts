import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../../examples/backends.js', import.meta.url));

type Child = ChildProcessByStdio<Writable, Readable, null>;

/**
 * The sample backends of the quickstart, in a process of their own that ends when this one does,
 * however it ends.
 */
export class Backends {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Resolves once they all listen. @throws Error if they cannot; they say why on stderr themselves. */
  static async start(): Promise<Backends> {
    const child = spawn(process.execPath, [PROGRAM, '--until-stdin-closes'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ready = await Promise.race([
      once(child.stdout, 'data').then(() => true),
      once(child, 'exit').then(() => false),
    ]);
    if (!ready) throw new Error('the sample backends did not start');
    return new Backends(child);
  }

  /** Resolves once they are gone. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin.end();
    await gone;
  }
}
