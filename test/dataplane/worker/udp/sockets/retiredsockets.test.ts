import t from 'tap';
import { RetiredSockets } from '../../../../../lib/dataplane/worker/udp/sockets/retiredsockets.js';

t.test('a retired socket stays open for five seconds', async (t) => {
  const retired = new RetiredSockets<string>();
  t.equal(retired.deadline, Number.POSITIVE_INFINITY);
  retired.add('one', 1000);
  retired.add('two', 2000);
  t.equal(retired.deadline, 6000);
  t.equal(retired.expired(5999), null);
  t.equal(retired.expired(6000), 'one');
  retired.delete('one');
  t.equal(retired.deadline, 7000);
  retired.delete('one');
  t.equal(retired.expired(7000), 'two');
});
