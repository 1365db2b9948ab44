import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import type { AffinityResult } from '../../lib/affinity/result.js';
import { resultOf } from './fixtures.js';
import { violations } from './schema.js';

t.test('recorded results are as the schema says', async (t) => {
  for (const name of ['per-port', 'per-service']) {
    const result = JSON.parse(readFileSync(`test/affinity/results/${name}.json`, 'utf8')) as unknown;
    t.same(violations(result), [], name);
  }
});

t.test('every result is as the schema says', async () => {
  const met = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 6 });
  fc.assert(
    fc.property(fc.array(met, { minLength: 1, maxLength: 6 }), (courses) => {
      const result = resultOf(
        courses.map((met, client) => ({ client: `10.0.0.${client}`, port: '80/tcp', met })),
      );
      return violations(JSON.parse(JSON.stringify(result))).length === 0;
    }),
  );
});

t.test('the schema refuses what is missing, unknown or of another kind', async (t) => {
  const result = resultOf([{ client: '10.0.0.1', port: '80/tcp', met: 'ab' }]);
  const changed = (change: object) => violations({ ...result, ...change });
  t.same(changed({ more: 1 }), ['/more: is unknown']);
  t.same(changed({ version: 2 }), ['/version: is not 1']);
  t.same(changed({ tookMs: -1 }), ['/tookMs: is under 0']);
  t.same(changed({ backends: [1] }), ['/backends/0: is no string']);
  t.match(changed({ timeout: {} }), ['/timeout: is no null', '/timeout/port: is missing']);
  const { verdict: _, ...incomplete } = result satisfies AffinityResult;
  t.same(violations(incomplete), ['/verdict: is missing']);
});
