import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine } from '../lab/kubeportal.js';
import { PATIENCE_MS, type Result } from '../lab/program.js';
import type { Docker } from './docker.js';

const POLL_MS = 100;

/** A container that was started, with kube-portal as its program. */
export class Container {
  readonly #docker: Docker;
  readonly #id: string;

  constructor(docker: Docker, id: string) {
    this.#docker = docker;
    this.#id = id;
  }

  /** What the program logged. */
  async log(): Promise<LogLine[]> {
    const text = await this.#docker.must(['logs', this.#id]);
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Runs a program in the container to its end. */
  exec(...command: readonly string[]): Promise<Result> {
    return this.#docker.run(['exec', this.#id, ...command]);
  }

  /**
   * Resolves when `isSo` is true.
   * @throws Error with the container's output if the container has ended, or after {@link PATIENCE_MS}
   */
  async until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await isSo())) {
      if (Date.now() < deadline && (await this.#state('Running')) === 'true') await sleep(POLL_MS);
      else throw new Error(`never: ${what}\n${await this.#output()}`);
    }
  }

  /** Ends it as a kubelet does: SIGTERM, and SIGKILL when the time is up. Resolves to the exit code. */
  async stop(graceSeconds: number): Promise<number> {
    await this.#docker.must(['stop', `--time=${graceSeconds}`, this.#id]);
    return Number(await this.#state('ExitCode'));
  }

  async remove(): Promise<void> {
    await this.#docker.must(['rm', '--force', this.#id]);
  }

  async #state(field: string): Promise<string> {
    const format = `--format={{.State.${field}}}`;
    return (await this.#docker.must(['container', 'inspect', format, this.#id])).trim();
  }

  async #output(): Promise<string> {
    const { stdout, stderr } = await this.#docker.run(['logs', this.#id]);
    return `${stdout}${stderr}`;
  }
}
