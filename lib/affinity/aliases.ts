import { groupBy } from './grouping.js';
import { type Answered, isAnswered, type Observation } from './observation.js';
import type { Alias, AskedPort } from './result.js';

/**
 * Finds the names that are of one backend. Ports may know a backend by different names: a web server tells
 * the name of its pod, a DDS participant its GUID prefix. Ports that are asked in the same way, or that have
 * a name in common, use the same names. Names of other ports are matched with those of the first ports by the
 * clients that met both in one round: the pair that was met most often is one backend, and so on. This takes
 * as many names to be equal as it can, so clients that are split all the same are split for certain.
 *
 * @param observations of the stages of rounds
 * @param ports in the order in which their names are preferred
 */
export function findAliases(observations: readonly Observation[], ports: readonly AskedPort[]): Alias[] {
  const answers = observations.filter(isAnswered);
  const [first, ...others] = vocabularies(answers, ports);
  if (first === undefined) return [];
  const byRound = [...groupBy(answers, ({ client, stage, round }) => `${client} ${stage} ${round}`).values()];
  return others.flatMap((other) => matches(byRound, first, other));
}

/** The same observations, with one name for each backend. */
export function withoutAliases(
  observations: readonly Observation[],
  aliases: readonly Alias[],
): readonly Observation[] {
  if (aliases.length === 0) return observations;
  const names = new Map(aliases.map(({ alias, backend }) => [alias, backend]));
  return observations.map((observation) =>
    isAnswered(observation)
      ? { ...observation, backend: names.get(observation.backend) ?? observation.backend }
      : observation,
  );
}

/** Sets of names that do not overlap, in the order of ports. All names of a way to ask are in one set. */
function vocabularies(answers: readonly Answered[], ports: readonly AskedPort[]): ReadonlySet<string>[] {
  const wayOf = new Map(ports.map(({ port, identify }) => [port, identify]));
  const byWay = groupBy(answers, ({ port }) => wayOf.get(port));
  let sets: ReadonlySet<string>[] = [];
  for (const way of new Set(wayOf.values())) {
    const names = new Set((byWay.get(way) ?? []).map(({ backend }) => backend));
    const overlaps = (set: ReadonlySet<string>) => [...names].some((name) => set.has(name));
    const [home = new Set<string>(), ...rest] = sets.filter(overlaps);
    const joined = new Set([...home, ...names, ...rest.flatMap((set) => [...set])]);
    const place = sets.indexOf(home);
    if (place < 0) sets.push(joined);
    else sets = sets.with(place, joined).filter((set) => !rest.includes(set));
  }
  return sets.filter(({ size }) => size > 0);
}

/** @param byRound what each client met in each round */
function matches(
  byRound: readonly (readonly Answered[])[],
  first: ReadonlySet<string>,
  other: ReadonlySet<string>,
): Alias[] {
  const pairs = byRound.flatMap((round) => {
    const met = [...new Set(round.map(({ backend }) => backend))];
    const aliases = met.filter((name) => other.has(name));
    return met
      .filter((name) => first.has(name))
      .flatMap((backend) => aliases.map((alias) => ({ backend, alias })));
  });
  const meetings = [...groupBy(pairs, ({ backend, alias }) => `${backend}\0${alias}`).values()];
  const taken = new Set<string>();
  return meetings
    .sort((one, next) => next.length - one.length)
    .flatMap(([pair]) => {
      if (pair === undefined || taken.has(pair.backend) || taken.has(pair.alias)) return [];
      taken.add(pair.backend).add(pair.alias);
      return [pair];
    });
}
