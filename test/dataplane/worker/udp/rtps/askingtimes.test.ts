import t from 'tap';
import {
  ASK_AGAIN,
  ASK_FOR_STRANGER,
  AskingTimes,
  FIRST_PAUSE,
} from '../../../../../lib/dataplane/worker/udp/rtps/askingtimes.js';

const NOBODY = Number.NEGATIVE_INFINITY;

t.test('an endpoint that has answered is asked again late, and sooner for a stranger', async (t) => {
  const times = new AskingTimes();
  t.equal(times.isDue('default/a', NOBODY, 0), true, 'a new one at once');
  times.asked('default/a', 0);
  t.equal(times.isDue('default/a', 1, FIRST_PAUSE - 1), false, 'its answer may be under way');
  times.answered('default/a', 10);
  t.equal(times.isDue('default/a', NOBODY, ASK_AGAIN + 9), false);
  t.equal(times.isDue('default/a', NOBODY, ASK_AGAIN + 10), true);
  t.equal(times.isDue('default/a', 11, ASK_FOR_STRANGER + 9), false);
  t.equal(times.isDue('default/a', 11, ASK_FOR_STRANGER + 10), true);
  t.equal(times.isDue('default/a', 9, ASK_FOR_STRANGER + 10), false, 'it was met before the answer');
  t.equal(times.isDue('default/b', NOBODY, 10), true, 'others are their own affair');
});

t.test('an endpoint that does not answer is asked less and less often', async (t) => {
  const times = new AskingTimes();
  let now = 0;
  const pauses = Array.from({ length: 10 }, () => {
    times.asked('default/a', now);
    const begin = now;
    while (!times.isDue('default/a', now, now)) now += 500;
    return now - begin;
  });
  t.same(pauses.slice(0, 3), [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]);
  t.equal(pauses.at(-1), ASK_AGAIN);
});

t.test('endpoints that are asked no longer are forgotten', async (t) => {
  const times = new AskingTimes();
  for (let pod = 0; pod < 1000; pod++) times.asked(`default/${pod}`, pod * 1000);
  t.ok(times.size <= (2 * ASK_AGAIN) / 1000 + 1, `${times.size}`);
});
