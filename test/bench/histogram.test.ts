import t from 'tap';
import { Histogram } from '../../bench/load/histogram.js';

t.test('percentiles are exact to a few percent, for times of any size', async (t) => {
  for (const unit of [1, 1000, 1_000_000]) {
    const histogram = new Histogram();
    for (let i = 1; i <= 1000; i++) histogram.add(i * unit);
    for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
      const error = histogram.percentile(share) / (share * 1000 * unit) - 1;
      t.ok(Math.abs(error) < 0.04, `${share} of ${unit} to ${1000 * unit} ns`);
    }
  }
});

t.test('small times are exact, and times above two seconds count as two seconds', async (t) => {
  const histogram = new Histogram();
  histogram.add(0);
  t.equal(histogram.percentile(0.5), 0);
  for (let value = 0; value < 64; value++) {
    histogram.clear();
    histogram.add(value);
    t.equal(histogram.percentile(1), value);
  }
  histogram.clear();
  histogram.add(1e12);
  t.equal(histogram.percentile(0.5), 2 ** 31 - 2 ** 24);
});

t.test('without times, percentiles are 0', async (t) => {
  const histogram = new Histogram();
  t.equal(histogram.percentile(0.99), 0);
  histogram.add(7);
  histogram.clear();
  t.equal(histogram.count, 0);
  t.equal(histogram.percentile(0.99), 0);
});
