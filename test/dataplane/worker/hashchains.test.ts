import fc from 'fast-check';
import t from 'tap';
import { HashChains, NO_ENTRY } from '../../../lib/dataplane/worker/hashchains.js';

function entriesWith(chains: HashChains, hash: number): number[] {
  const found: number[] = [];
  for (let entry = chains.first(hash); entry !== NO_ENTRY; entry = chains.after(entry)) found.push(entry);
  return found.sort((a, b) => a - b);
}

t.test('entries are found by their hash, also among others of the same bucket', async (t) => {
  const hash = fc.constantFrom(0, 1, -1, 16, 17, 2 ** 31 - 1, -(2 ** 31));
  const step = fc.tuple(fc.integer({ min: 0, max: 6 }), hash);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const chains = new HashChains(7);
      const hashes = new Map<number, number>();
      for (const [entry, wanted] of steps) {
        if (hashes.delete(entry)) chains.delete(entry);
        else {
          chains.add(entry, wanted);
          hashes.set(entry, wanted);
        }
        for (const one of [0, 1, -1, 16, 17, 2 ** 31 - 1, -(2 ** 31)]) {
          const expected = [...hashes].flatMap(([other, its]) => (its === one ? other : []));
          t.same(
            entriesWith(chains, one),
            expected.sort((a, b) => a - b),
          );
        }
      }
    }),
    { numRuns: 30 },
  );
});

t.test('all entries are found after it has grown, and there is room for more', async (t) => {
  const chains = new HashChains(4);
  for (let entry = 0; entry < 4; entry++) chains.add(entry, entry * 1000);
  chains.grow(8);
  t.equal(chains.capacity, 8);
  chains.add(7, 3000);
  for (let entry = 0; entry < 3; entry++) t.same(entriesWith(chains, entry * 1000), [entry]);
  t.same(entriesWith(chains, 3000), [3, 7]);
});
