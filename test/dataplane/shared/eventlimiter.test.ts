import t from 'tap';
import { EventLimiter } from '../../../lib/dataplane/shared/eventlimiter.js';
import type { DataplaneEvent, SuppressedEvents } from '../../../lib/dataplane/shared/messages.js';
import { item } from '../../lab/items.js';

const PERIOD = 1000;

const failed = (endpoint: number | string, portal = 'default/web'): DataplaneEvent => ({
  kind: 'endpointFailed',
  portal,
  endpoint: `${endpoint}`,
  reason: 'ECONNREFUSED',
});

class Stage {
  readonly suppressed: SuppressedEvents[] = [];
  readonly limiter = new EventLimiter(PERIOD, (suppressed) => this.suppressed.push(suppressed));

  /** How many of these are told at once. */
  told(events: readonly DataplaneEvent[], now: number): number {
    return events.filter((event) => this.limiter.admit(event, now)).length;
  }
}

t.test('a repeated event is counted only, and reported again in the next period', async (t) => {
  const { limiter, suppressed } = new Stage();
  t.ok(limiter.admit(failed('a'), 0));
  t.notOk(limiter.admit(failed('a'), 500));
  t.ok(limiter.admit(failed('b'), 500), 'another is told');
  t.equal(limiter.deadline, PERIOD);
  limiter.expire(PERIOD - 1);
  t.same(suppressed, []);
  limiter.expire(PERIOD);
  t.same(suppressed, [{ kind: 'endpointFailed', times: 1, endpoints: ['a'] }]);
  t.equal(limiter.deadline, Number.POSITIVE_INFINITY);
  t.ok(limiter.admit(failed('a'), PERIOD));
  limiter.expire(2 * PERIOD);
  t.equal(suppressed.length, 1, 'a period without suppressed events is not reported');
});

t.test('of many different events, the first are reported and the others are counted', async (t) => {
  const stage = new Stage();
  const storm = Array.from({ length: 30_000 }, (_, i) => failed(i % 3000));
  t.equal(stage.told(storm, 0), 5);
  t.ok(stage.limiter.admit({ kind: 'descriptorsOut' }, 1), 'events of other kinds are told');
  stage.limiter.expire(PERIOD);
  const { kind, times, endpoints } = item(stage.suppressed, 0);
  t.same([kind, times], ['endpointFailed', 29_995]);
  t.equal(endpoints.length, 1000, 'it remembers so many names and no more');
  t.equal(stage.told(storm, PERIOD), 5, 'the next period is as short');
});

t.test('one portal does not use up the reports of others, and the total is limited', async (t) => {
  const stage = new Stage();
  const storm = (portal: number) => Array.from({ length: 100 }, (_, i) => failed(i, `default/${portal}`));
  t.equal(stage.told(storm(1), 0), 5);
  t.equal(stage.told(storm(2), 0), 5);
  const many = Array.from({ length: 1000 }, (_, portal) => storm(portal)).flat();
  t.equal(stage.told(many, 0), 10, 'twenty in all');
});

t.test('a limiter adds up what other limiters have suppressed', async (t) => {
  const main = new Stage();
  for (const endpoints of [
    ['a', 'b'],
    ['b', 'c'],
  ])
    main.limiter.count({ kind: 'endpointFailed', times: 100, endpoints }, 0);
  t.ok(main.limiter.admit(failed('d'), 1));
  t.notOk(main.limiter.admit(failed('d'), 2), 'of another worker');
  main.limiter.expire(PERIOD);
  t.same(main.suppressed, [{ kind: 'endpointFailed', times: 201, endpoints: ['a', 'b', 'c', 'd'] }]);
});
