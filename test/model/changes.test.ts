import t from 'tap';
import { changesBetween, countChanges } from '../../lib/model/changes.js';
import { objectSet, service, slice } from './fixtures.js';

t.test('changes are counted by identity', async (t) => {
  const [a, b] = [service(), service({}, { name: 'b' })];
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-02T03:04:05Z' };
  const dated = slice([], {}, { annotations });
  const before = objectSet([a, b], [slice([], {}, { name: 'other' })]);
  t.same(countChanges(before, before), { services: 0, slices: 0, triggeredMs: [] });
  t.same(countChanges(before, objectSet([service(), service({}, { name: 'c' })], [dated])), {
    services: 3,
    slices: 2,
    triggeredMs: [Date.UTC(2026, 0, 2, 3, 4, 5)],
  });
});

t.test('a change is found at every position', async (t) => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => ({ name }));
  const before = new Map(Object.entries({ a, b, c }));
  const changesTo = (after: object) => changesBetween(before, new Map(Object.entries(after)));
  t.same(changesTo({ a, b, c }), []);
  t.same(changesTo({ c, b, a }), [], 'in another order');
  t.same(changesTo({ b, c, d }), [
    { key: 'd', before: undefined, after: d },
    { key: 'a', before: a, after: undefined },
  ]);
  t.same(changesTo({ a, b: d, c }), [{ key: 'b', before: b, after: d }]);
});
