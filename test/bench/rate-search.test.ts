import t from 'tap';
import { type Attempt, searchRate } from '../../bench/load/rate-search.js';

/** A path with a capacity. Datagrams above it are lost or arrive late. */
function path(capacity: number, above: 'lost' | 'late') {
  const rates: number[] = [];
  const attempt = (rate: number): Attempt => {
    rates.push(rate);
    const received = Math.min(rate, capacity);
    return { sent: rate, received, lost: above === 'lost' ? 1 - received / rate : 0 };
  };
  return { rates, attempt };
}

t.test('the highest rate of a path is found to a few percent, from below and from above', async (t) => {
  for (const above of ['lost', 'late'] as const) {
    for (const capacity of [9_000, 45_000, 60_000, 100_000, 700_000]) {
      const { rates, attempt } = path(capacity, above);
      const found = searchRate(attempt, { start: 60_000, attempts: 30 });
      t.ok(found <= capacity && found > 0.92 * capacity, `${found} of ${capacity} where more is ${above}`);
      t.ok(rates.length < 30, `in ${rates.length} attempts`);
    }
  }
});

t.test('a rate that fails once is tried again', async (t) => {
  const { attempt } = path(100_000, 'lost');
  let attempts = 0;
  const unlucky = (rate: number) => (++attempts === 1 ? { ...attempt(rate), lost: 0.5 } : attempt(rate));
  t.ok(searchRate(unlucky, { start: 60_000, attempts: 20 }) > 92_000);
});

t.test('if the sender is too slow, its highest rate is the result', async (t) => {
  const slowSender = (rate: number): Attempt => {
    const sent = Math.min(rate, 150_000);
    return { sent, received: sent, lost: 0 };
  };
  t.equal(searchRate(slowSender, { start: 60_000, attempts: 30 }), 150_000);
});

t.test('the search ends after the most attempts', async (t) => {
  const { rates, attempt } = path(0, 'lost');
  t.equal(searchRate(attempt, { start: 60_000, attempts: 7 }), 0);
  t.equal(rates.length, 7);
});
