import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { type Change, changesBetween } from '../../lib/model/changes.js';
import { type Replacements, SharedMap } from '../../lib/model/sharedmap.js';

const MANY = 10_000;

/** Sorted by key, as two maps with equal entries may have them in different orders. */
function entriesOf(map: ReadonlyMap<string, number>): [string, number][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function numbered(count: number): SharedMap<number> {
  return SharedMap.empty<number>().with(new Map(Array.from({ length: count }, (_, n) => [`key-${n}`, n])));
}

/** Around the size at which a map is cut into shards. */
const anyReplacements: fc.Arbitrary<Replacements<number>> = fc
  .array(fc.tuple(fc.nat(150), fc.option(fc.nat(3), { nil: undefined })), { maxLength: 120 })
  .map((list) => new Map(list.map(([n, value]) => [`key-${n}`, value])));

function applyTo(map: Map<string, number>, replacements: Replacements<number>): void {
  for (const [key, value] of replacements) {
    if (value === undefined) map.delete(key);
    else map.set(key, value);
  }
}

/** Checks every map of a walk against the plain map with the same entries and against the map before it. */
function walk(
  check: (now: SharedMap<number>, model: Map<string, number>, before: SharedMap<number>) => boolean,
): void {
  fc.assert(
    fc.property(fc.array(anyReplacements, { maxLength: 6 }), (steps) => {
      let map = SharedMap.empty<number>();
      const model = new Map<string, number>();
      return steps.every((step) => {
        const before = map;
        map = map.with(step);
        applyTo(model, step);
        return check(map, model, before);
      });
    }),
    { numRuns: 300 },
  );
}

t.test('it has the same entries as a plain map', async (t) => {
  walk((map, model) => {
    const visited = new Map<string, number>();
    map.forEach((value, key) => {
      visited.set(key, value);
    });
    return (
      map.size === model.size &&
      isDeepStrictEqual(entriesOf(map), entriesOf(model)) &&
      isDeepStrictEqual(visited, model) &&
      isDeepStrictEqual([...map.keys()], [...visited.keys()]) &&
      isDeepStrictEqual([...map.values()], [...visited.values()]) &&
      Array.from({ length: 151 }, (_, n) => `key-${n}`).every(
        (key) => map.get(key) === model.get(key) && map.has(key) === model.has(key),
      )
    );
  });
  t.pass();
});

t.test('maps with equal entries are equal, in whatever way they were made', async (t) => {
  walk((map, model) => isDeepStrictEqual(map, SharedMap.empty<number>().with(model)));
  t.notSame(numbered(3), numbered(4));
  t.pass();
});

t.test('the difference of two versions is found, and neither version changes', async (t) => {
  walk((map, model, before) => {
    const earlier = new Map(before);
    const bySize = (a: Change<number>, b: Change<number>) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    const found = changesBetween(before, map).sort(bySize);
    const expected = changesBetween(earlier, model).sort(bySize);
    map.with(new Map([...map.keys()].map((key) => [key, undefined])));
    return isDeepStrictEqual(found, expected) && map.size === model.size && before.size === earlier.size;
  });
  t.pass();
});

t.test('a small map keeps the order of insertion', async (t) => {
  const map = SharedMap.empty<number>().with(new Map(Object.entries({ c: 1, a: 2, b: 3 })));
  t.same([...map.keys()], ['c', 'a', 'b']);
  t.same([...map.with(new Map([['a', 4]])).keys()], ['c', 'a', 'b'], 'a changed entry stays in its place');
});

t.test('replacements that change nothing give the same map', async (t) => {
  for (const map of [numbered(3), numbered(MANY)]) {
    t.equal(map.with(new Map()), map);
    t.equal(
      map.with(
        new Map([
          ['key-1', 1],
          ['absent', undefined],
        ]),
      ),
      map,
    );
  }
});

t.test(
  'after one change among many entries, few entries must be compared, whatever their names are',
  async (t) => {
    const names: ((n: number) => string)[] = [
      (n) => `default/service-${n}`,
      (n) => `team-${n % 50}/app-${String(n).padStart(5, '0')}`,
      (n) => `default/service-${n >> 1}:port-${n & 1}/TCP/IPv4`,
    ];
    for (const name of names) {
      const entries = Array.from({ length: MANY }, (_, n) => [name(n), n] as const);
      const before = SharedMap.empty<number>().with(new Map(entries));
      const parts = before.differingParts(before.with(new Map([[name(5000), -1]])));
      t.equal(parts.length, 1);
      t.ok(parts[0]![0].size < MANY / 100, `${parts[0]![0].size} entries`);
    }
  },
);
