import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import type { Parsed } from '../../../lib/model/parse.js';
import { Mirror } from '../../../lib/sources/kubernetes/mirror.js';

interface Value {
  readonly key: string;
  readonly content: number;
}

/** The values of an object, by their keys. Null: the object cannot be parsed. */
type Contents = Readonly<Record<string, number>> | null;

function rawObject(name: string, contents: Contents): unknown {
  return { metadata: { namespace: 'default', name }, contents };
}

function parse(raw: unknown): Parsed<readonly Value[]> {
  const { metadata, contents } = raw as { metadata: { name: string }; contents: Contents };
  const object = metadata.name;
  if (contents === null) return { ok: false, object, problem: { object, message: 'unreadable' } };
  const value = Object.entries(contents).map(([key, content]) => ({ key: `${object}/${key}`, content }));
  return { ok: true, object, value };
}

const anyName = fc.constantFrom('a', 'b', 'c');
const anyContents: fc.Arbitrary<Contents> = fc.option(
  fc.dictionary(fc.constantFrom('0', '1', '2'), fc.nat(2)),
);
const anySteps = fc.array(
  fc.oneof(
    fc.record({ put: anyName, contents: anyContents }),
    fc.record({ remove: anyName }),
    fc.record({ keep: fc.subarray(['a', 'b', 'c']) }),
    fc.constant({ look: true }),
  ),
);

/**
 * A simple model of the mirror: the last good version of each object, and whether the last version is bad.
 */
class Expected {
  readonly #good = new Map<string, Exclude<Contents, null>>();
  readonly #bad = new Set<string>();

  put(name: string, contents: Contents): void {
    if (contents === null) this.#bad.add(name);
    else {
      this.#bad.delete(name);
      this.#good.set(name, contents);
    }
  }

  remove(name: string): void {
    this.#good.delete(name);
    this.#bad.delete(name);
  }

  matches({ values, problems }: Mirror<Value>): boolean {
    const contents = [...this.#good].flatMap(([name, object]) =>
      Object.entries(object).map(([key, content]) => [`${name}/${key}`, content] as const),
    );
    const found = new Map([...values].map(([key, { content }]) => [key, content]));
    const bad = new Set(problems.map(({ object }) => object));
    return isDeepStrictEqual(found, new Map(contents)) && isDeepStrictEqual(bad, this.#bad);
  }
}

t.test('the values are always those of the last good versions', async (t) => {
  fc.assert(
    fc.property(anySteps, (steps) => {
      const mirror = new Mirror<Value>(
        ({ key }) => key,
        () => undefined,
      );
      const expected = new Expected();
      for (const step of steps) {
        if ('put' in step) {
          mirror.put(rawObject(step.put, step.contents), parse);
          expected.put(step.put, step.contents);
        } else if ('remove' in step) {
          mirror.remove(rawObject(step.remove, null));
          expected.remove(step.remove);
        } else if ('keep' in step) {
          mirror.keepOnly(new Set(step.keep.map((name) => `default/${name}`)));
          for (const name of ['a', 'b', 'c']) if (!step.keep.includes(name)) expected.remove(name);
        } else if (!expected.matches(mirror)) return false;
      }
      return expected.matches(mirror);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('while nothing changes, the map stays the same', async (t) => {
  let changes = 0;
  const mirror = new Mirror<Value>(
    ({ key }) => key,
    () => changes++,
  );
  mirror.put(rawObject('a', { x: 1 }), parse);
  const before = mirror.values;
  mirror.put(rawObject('a', { x: 1 }), parse);
  mirror.put(rawObject('a', null), parse);
  t.equal(mirror.values, before);
  mirror.put(rawObject('a', { x: 1, y: 2 }), parse);
  t.equal(mirror.values.get('a/x'), before.get('a/x'), 'an unchanged value stays the same object');
  t.equal(before.size, 1, 'the earlier map does not change');
  t.equal(changes, 3);
});
