import fc from 'fast-check';
import t from 'tap';
import { TIMELINE_WIDTH, TimeScale } from '../../../lib/affinity/page/timescale.js';

function scaleOf(startMs: number, endMs: number): TimeScale {
  return new TimeScale([
    { startMs, endMs: startMs },
    { startMs, endMs },
  ]);
}

t.test('a scale goes from the start of the first stage to the end of the last one', async (t) => {
  const scale = scaleOf(1000, 3000);
  t.equal(scale.x(1000), 0);
  t.equal(scale.x(2000), TIMELINE_WIDTH / 2);
  t.equal(scale.x(3000), TIMELINE_WIDTH);
  t.equal(scale.x(9000), TIMELINE_WIDTH, 'what is later stays inside');
});

t.test('ticks are round times', async (t) => {
  t.same(scaleOf(4100, 13_700).ticks(), [6000, 8000, 10_000, 12_000]);
  t.same(scaleOf(0, 600_000).ticks(), [0, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000]);
});

t.test('a scale has some ticks and not too many, however long it is', async () => {
  const times = fc.record({
    start: fc.integer({ min: 0, max: 1e7 }),
    took: fc.double({ min: 0, max: 1e9, noNaN: true }),
  });
  fc.assert(
    fc.property(times, ({ start, took }) => {
      const scale = scaleOf(start, start + took);
      const ticks = scale.ticks();
      return ticks.length >= 1 && ticks.length <= 7 && ticks.every((ms) => ms >= start && ms <= scale.toMs);
    }),
  );
});
