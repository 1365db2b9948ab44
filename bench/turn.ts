import { Arena } from './arena.js';
import type { Contender } from './contenders/contender.js';
import type { Span } from './load/plan.js';

/** Service ports where a row does not ask for more. */
export const FEW_PORTS = 10;

/** One contender's turn in one round: what its rows need, made when the first of them needs it. */
export class Turn {
  readonly #arenas: Arena[] = [];
  readonly #shared = new Map<number, Arena>();

  constructor(
    readonly contender: Contender,
    readonly span: Span,
  ) {}

  /** An arena that the rows of this turn share. */
  async arena(ports = FEW_PORTS): Promise<Arena> {
    const known = this.#shared.get(ports);
    if (known !== undefined) return known;
    const arena = await this.freshArena(ports);
    this.#shared.set(ports, arena);
    return arena;
  }

  /** An arena in which the contender has done nothing yet. */
  async freshArena(ports = FEW_PORTS): Promise<Arena> {
    const arena = await Arena.open(this.contender, ports);
    this.#arenas.push(arena);
    return arena;
  }

  async end(): Promise<void> {
    for (const arena of this.#arenas) await arena.close();
  }
}
