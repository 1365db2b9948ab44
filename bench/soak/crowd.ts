import { fileURLToPath } from 'node:url';
import type { Host } from '../../test/lab/host.js';
import type { Program } from '../../test/lab/program.js';
import { type ClientPlan, type ClientReport, type Failure, KINDS, type Kind } from './clients/talk.js';

const PROGRAM = fileURLToPath(new URL('clients/program.js', import.meta.url));

/** What clients of one kind have done. */
export interface KindTotals {
  done: number;
  askedAgain: number;
  readonly failures: Failure[];
}

/** The client programs of a soak. */
export class Crowd {
  readonly #programs: ReadonlyMap<Kind, Program>;

  constructor(host: Host, plans: readonly ClientPlan[]) {
    this.#programs = new Map(
      plans.map((plan) => [plan.kind, host.spawn(process.execPath, [PROGRAM, JSON.stringify(plan)])]),
    );
  }

  /** What was done so far. @throws Error with the messages of a program that has ended by itself */
  totals(): ReadonlyMap<Kind, KindTotals> {
    return new Map(
      KINDS.flatMap((kind) => {
        const program = this.#programs.get(kind);
        return program === undefined ? [] : [[kind, totalsOf(program)] as const];
      }),
    );
  }

  /** Lets conversations come to their ends. */
  async end(): Promise<void> {
    for (const program of this.#programs.values()) program.closeInput();
    for (const program of this.#programs.values()) await program.finish();
  }
}

function totalsOf({ stdout, stderr }: Program): KindTotals {
  if (stderr !== '') throw new Error(stderr);
  const totals: KindTotals = { done: 0, askedAgain: 0, failures: [] };
  for (const line of stdout.split('\n').slice(0, -1)) {
    const { done, askedAgain, failures } = JSON.parse(line) as ClientReport;
    totals.done += done;
    totals.askedAgain += askedAgain;
    totals.failures.push(...failures);
  }
  return totals;
}
