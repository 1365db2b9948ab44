import type { EventStage, Gap, Move } from './result.js';

/** What an event did to sessions, in numbers. */
export interface EventEffects {
  /** Clients that met another backend than before. */
  readonly movedClients: number;
  /** Those of them that left a backend which went on answering. */
  readonly needlessClients: number;
  readonly longestFirst: readonly Gap[];
  /** Of the longest gaps of all links. 0 if there are no links. */
  readonly medianGapMs: number;
}

/** @param moves those of the stage */
export function effectsOf(stage: EventStage, moves: readonly Move[]): EventEffects {
  const clientsOf = (some: readonly Move[]) => new Set(some.map(({ client }) => client)).size;
  const longestFirst = stage.gaps.toSorted((one, other) => other.longestMs - one.longestMs);
  return {
    movedClients: clientsOf(moves),
    needlessClients: clientsOf(moves.filter(({ fromAnswersLater }) => fromAnswersLater)),
    longestFirst,
    medianGapMs: longestFirst[Math.floor(longestFirst.length / 2)]?.longestMs ?? 0,
  };
}
