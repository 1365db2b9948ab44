import t from 'tap';
import { CopyLimit } from '../../../../../lib/dataplane/worker/udp/rtps/copylimit.js';

t.test('so many copies a second are made, and no part of what does not fit', async (t) => {
  const limit = new CopyLimit(100);
  t.equal(limit.take(60, 1000), true);
  t.equal(limit.take(60, 1000), false);
  t.equal(limit.take(40, 1000), true);
  t.equal(limit.take(1, 1009), false);
  t.equal(limit.take(2, 1020), true, 'they come back evenly');
  t.equal(limit.take(100, 60_000), true);
  t.equal(limit.take(1, 60_000), false, 'idle time is worth one second at most');
});
