import { Arena } from './arena.js';
import type { Contender, Setting } from './contenders/contender.js';
import type { Span } from './load/plan.js';

/** Service ports where a row does not ask for more. */
export const FEW_PORTS = 10;

/** One contender's turn in one round: what its rows need, made when the first of them needs it. */
export class Turn {
  readonly #arenas = new Map<number, Arena>();

  constructor(
    readonly contender: Contender,
    readonly span: Span,
  ) {}

  /** An arena that the rows of this turn share. */
  async arena(ports = FEW_PORTS): Promise<Arena> {
    const known = this.#arenas.get(ports);
    if (known !== undefined) return known;
    const arena = await Arena.open(this.contender, { ports });
    this.#arenas.set(ports, arena);
    return arena;
  }

  /** Does something in an arena in which the contender has done nothing yet, and which goes afterwards. */
  async inFreshArena<Result>(setting: Setting, work: (arena: Arena) => Promise<Result>): Promise<Result> {
    const arena = await Arena.open(this.contender, setting);
    try {
      return await work(arena);
    } finally {
      await arena.close();
    }
  }

  async end(): Promise<void> {
    for (const arena of this.#arenas.values()) await arena.close();
  }
}
