import fc from 'fast-check';
import t from 'tap';
import { analyse } from '../../lib/affinity/analysis.js';
import type { AffinityResult, RoundsStage } from '../../lib/affinity/result.js';
import { type Course, observe, recordOf, resultOf } from './fixtures.js';

const PORTS = ['80/tcp', '7410/udp', '7411/udp'];

/** Clients, and for each link a course over a few backends, with answers missing. */
const courses = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }))
  .chain(([clients, ports]) =>
    fc.tuple(
      ...Array.from({ length: clients * ports }, (_, index) =>
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.'), minLength: 1, maxLength: 8 }).map(
          (met): Course => ({
            client: `10.0.0.${Math.floor(index / ports)}`,
            port: PORTS[index % ports] ?? '',
            met,
          }),
        ),
      ),
    ),
  );

function rounds({ stages }: AffinityResult): RoundsStage {
  const [stage] = stages;
  if (stage?.kind !== 'rounds') throw new Error('no rounds');
  return stage;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

t.test('every question is in the result exactly once', async () => {
  fc.assert(
    fc.property(courses, (all) => {
      const { links } = resultOf(all);
      for (const [index, { met, unanswered, errors, runs }] of links.entries()) {
        const asked = all[index]?.met.length;
        const isComplete =
          sum(Object.values(met)) + unanswered === asked &&
          sum(Object.values(errors)) === unanswered &&
          sum(runs.map(({ questions }) => questions)) === asked;
        if (!isComplete) return false;
      }
      return links.length === all.length;
    }),
  );
});

t.test('the distribution adds up to the clients and answers that there were', async () => {
  fc.assert(
    fc.property(courses, (all) => {
      const { distribution } = rounds(resultOf(all));
      const answered = all.filter(({ met }) => /[abc]/.test(met));
      const answers = sum(all.map(({ met }) => met.replaceAll('.', '').length));
      const isNear = (one: number, other: number) => Math.abs(one - other) < 1e-9;
      return (
        sum(distribution.map(({ clients }) => clients)) ===
          new Set(answered.map(({ client }) => client)).size &&
        sum(distribution.map((share) => share.answers)) === answers &&
        isNear(sum(distribution.map(({ evenAnswers }) => evenAnswers)), answers)
      );
    }),
  );
});

t.test('the order in which observations come does not matter', async (t) => {
  fc.assert(
    fc.property(
      courses.chain((all) => {
        const observations = observe(all);
        const shuffled = fc.shuffledSubarray(observations, { minLength: observations.length });
        return fc.tuple(fc.constant(observations), shuffled);
      }),
      ([observations, shuffled]) => {
        const { asked } = recordOf(observations);
        t.same(analyse(recordOf(shuffled, { asked })), analyse(recordOf(observations, { asked })));
      },
    ),
    { numRuns: 50 },
  );
});

t.test('a client is split exactly if its backends do not follow one another for good', async () => {
  fc.assert(
    fc.property(courses, (all) => {
      const split = new Set(rounds(resultOf(all)).split.map(({ client }) => client));
      return [...new Set(all.map(({ client }) => client))].every((client) => {
        const answers = observe(all)
          .filter((observation) => observation.client === client)
          .sort((one, other) => one.atMs - other.atMs)
          .flatMap(({ backend }) => backend ?? []);
        const runs = answers.filter((backend, index) => backend !== answers[index - 1]);
        return split.has(client) === runs.length > new Set(runs).size;
      });
    }),
  );
});

t.test('with one backend for each client nobody is split, and the verdict is ClientIP', async () => {
  const homes = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(homes, (backends) => {
      const all = backends.flatMap((backend, index) =>
        PORTS.map((port) => ({ client: `10.0.0.${index}`, port, met: backend.repeat(3) })),
      );
      const { verdict } = resultOf(all);
      return verdict.found === (new Set(backends).size > 1 ? 'ClientIP' : 'unknown');
    }),
  );
});
