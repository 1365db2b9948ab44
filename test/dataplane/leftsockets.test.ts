import t from 'tap';
import { NONE } from '../../lib/dataplane/flowtable.js';
import { LeftSockets } from '../../lib/dataplane/leftsockets.js';

t.test('a left socket stays for five seconds', async (t) => {
  const left = new LeftSockets();
  t.equal(left.deadline, Number.POSITIVE_INFINITY);
  left.add(7, 70, 1000);
  left.add(3, 30, 2000);
  t.equal(left.deadline, 6000);
  t.equal(left.expired(5999), NONE);
  t.equal(left.expired(6000), 7);
  t.equal(left.take(7), 70);
  t.equal(left.deadline, 7000);
  t.equal(left.take(7), NONE, 'it is taken once');
});

t.test('a flow that moves again has its time anew', async (t) => {
  const left = new LeftSockets();
  left.add(7, 70, 1000);
  left.add(3, 30, 2000);
  t.equal(left.take(7), 70);
  left.add(7, 71, 3000);
  t.equal(left.expired(7000), 3);
  t.equal(left.take(3), 30);
  t.equal(left.expired(7999), NONE);
  t.equal(left.expired(8000), 7);
});
