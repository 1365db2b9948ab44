import type { Answered } from '../observation.js';
import type { Timeout, Trial } from '../result.js';
import { tenths } from '../tenths.js';

/** Who answered a client, and when. */
export type IdleAnswer = Pick<Answered, 'client' | 'backend' | 'atMs' | 'tookMs'>;

/** What the measurement needs of the world. */
export interface IdleWorld {
  /** Asks once from each of the clients. Resolves to the answers that came. */
  ask(clients: readonly string[]): Promise<readonly IdleAnswer[]>;
  /** Waits, ms. */
  sleep(ms: number): Promise<unknown>;
  /** A clock, ms. */
  now(): number;
}

/**
 * Clients that try the same pause. Over `n` backends, a client without its pin meets the same backend again
 * by a chance of 1/n, so one client that stays proves little, and eight that stay prove it.
 */
const GROUP = 8;
/** The measurement ends when the result is as exact as this part of it, or as this many ms. */
const PRECISION = 0.05;
const PRECISION_MS = 200;
/** Passes at most, each of which waits for its longest pause at most. */
const MOST_PASSES = 8;

/**
 * Measures after which time an idle client loses its backend. All clients ask. Then each group asks again
 * after a pause of its own, the shortest first, until clients of one group have moved. The next pass tries
 * pauses between the last two.
 *
 * @param longestMs the longest pause that is tried
 */
export async function measureTimeout(
  world: IdleWorld,
  port: string,
  clients: readonly string[],
  longestMs: number,
): Promise<Timeout> {
  const groups = groupsOf(clients);
  const trials: Trial[] = [];
  let [keptMs, movedMs]: [number, number | null] = [0, null];
  let passes = 0;
  do {
    const pauses = pausesBetween(keptMs, movedMs ?? longestMs, groups.length, movedMs === null);
    const outcome = await tryPauses(world, groups, pauses);
    trials.push(...outcome);
    if (outcome.length === 0) break;
    [keptMs, movedMs] = limitsOf(trials);
  } while (++passes < MOST_PASSES && !isExact(keptMs, movedMs, longestMs));
  return { port, keptMs, movedMs, trials };
}

/**
 * The shortest pause after which clients had moved, and the longest shorter one after which none had. A proxy
 * that is very busy may look at its clock late, and then a longer pause may be survived, too.
 */
function limitsOf(trials: readonly Trial[]): [keptMs: number, movedMs: number | null] {
  const movedMs = Math.min(...trials.filter(({ moved }) => moved > 0).map(({ pauseMs }) => pauseMs));
  const kept = trials.filter(({ moved, pauseMs }) => moved === 0 && pauseMs < movedMs);
  return [Math.max(0, ...kept.map(({ pauseMs }) => pauseMs)), Number.isFinite(movedMs) ? movedMs : null];
}

function groupsOf(clients: readonly string[]): (readonly string[])[] {
  const count = Math.max(1, Math.floor(clients.length / GROUP));
  return Array.from({ length: count }, (_, group) => clients.filter((_, index) => index % count === group));
}

function isExact(keptMs: number, movedMs: number | null, longestMs: number): boolean {
  const upperMs = movedMs ?? longestMs;
  return upperMs - keptMs <= Math.max(PRECISION_MS, PRECISION * upperMs);
}

/** Pauses in equal steps. @param withLast whether the last one is `to` itself */
function pausesBetween(from: number, to: number, count: number, withLast: boolean): number[] {
  const step = (to - from) / (withLast ? count : count + 1);
  return Array.from({ length: count }, (_, index) => Math.round(from + step * (index + 1)));
}

/** Tries one pause for each group, up to the first that moved. Groups without answers are left out. */
async function tryPauses(
  world: IdleWorld,
  groups: readonly (readonly string[])[],
  pauses: readonly number[],
): Promise<Trial[]> {
  const homes = new Map((await world.ask(groups.flat())).map((answer) => [answer.client, answer]));
  const startMs = world.now();
  const trials: Trial[] = [];
  for (const [index, group] of groups.entries()) {
    await world.sleep(Math.max(0, startMs + (pauses[index] ?? 0) - world.now()));
    const answers = await world.ask(group);
    const trial = trialOf(answers.flatMap((now): Pair[] => pairWith(homes.get(now.client), now)));
    trials.push(trial);
    if (trial.moved > 0) break;
  }
  return trials.filter(({ clients }) => clients > 0);
}

/** The answers of a client before and after a pause. */
interface Pair {
  readonly before: IdleAnswer;
  readonly now: IdleAnswer;
}

function pairWith(before: IdleAnswer | undefined, now: IdleAnswer): Pair[] {
  return before === undefined ? [] : [{ before, now }];
}

/** The proxy sees a question somewhen between its sending and its answer: pauses have these limits. */
function trialOf(pairs: readonly Pair[]): Trial {
  const moved = pairs.filter(({ before, now }) => before.backend !== now.backend);
  const atLeast = ({ before, now }: Pair) => now.atMs - before.atMs - before.tookMs;
  const atMost = ({ before, now }: Pair) => now.atMs + now.tookMs - before.atMs;
  const pauseMs = moved.length > 0 ? Math.min(...moved.map(atMost)) : Math.min(...pairs.map(atLeast));
  return { pauseMs: tenths(pairs.length > 0 ? pauseMs : 0), clients: pairs.length, moved: moved.length };
}
