/**
 * Clients that ask without a pause until the test stops them. Then they report the result of each question.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import type { Pod } from '../lab/lab.js';
import type { Program } from '../lab/program.js';
import { count, type Tally } from '../lab/tally.js';

/** What a client rests between two look-ups, ms. */
const REST_MS = 10;

/**
 * Look-ups with dig in its batch mode, one after the other. Each has its own socket and is never repeated.
 */
export class LookupLoad {
  readonly #programs: readonly Program[];
  readonly #finished: Promise<unknown>;
  #running = true;

  /**
   * @param sources an address of the pod for each client: dig lets two sockets of one address share a port
   * @param question a line of a batch file: the server and the name
   * @param flags for all of the batch
   */
  constructor(pod: Pod, sources: readonly string[], question: string, ...flags: readonly string[]) {
    this.#programs = sources.map((source) =>
      pod.spawn('stdbuf', ['--output=L', 'dig', '+short', '+tries=1', ...flags, '-b', source, '-f', '-']),
    );
    this.#finished = Promise.all(this.#programs.map((program) => this.#ask(program, `${question}\n`)));
  }

  /** Resolves to the count of each answer and of each error of dig. @throws Error if there is neither */
  async stop(): Promise<Tally> {
    this.#running = false;
    await this.#finished;
    return count(this.#programs.flatMap(({ stdout }) => stdout.trim().split('\n')));
  }

  async #ask(program: Program, question: string): Promise<void> {
    while (this.#running) {
      const before = program.stdout.length;
      program.write(question);
      await program.waitFor(() => (program.stdout.length > before ? true : null), 'an answer');
      await sleep(REST_MS);
    }
    program.closeInput();
    await program.exited;
  }
}

export interface WebLoadReport {
  /** How often there was which body, or which error's code. */
  readonly outcomes: Tally;
  /** So many were opened. */
  readonly connections: number;
}

const WEB_LOAD = fileURLToPath(new URL('web-load-program.js', import.meta.url));

/** HTTP requests over connections that are kept open. A failed request is never repeated. */
export class WebLoad {
  private constructor(readonly program: Program) {}

  /** Resolves once each connection has had an answer. */
  static async start(host: Host, connections: number, url: string): Promise<WebLoad> {
    const program = host.spawn(process.execPath, [WEB_LOAD, url, String(connections)]);
    await program.waitForOutput(/^under load$/m);
    return new WebLoad(program);
  }

  /** Lets the last requests end. */
  async stop(): Promise<WebLoadReport> {
    this.program.closeInput();
    await this.program.exited;
    return JSON.parse(item(this.program.stdout.split('\n'), 1)) as WebLoadReport;
  }
}
