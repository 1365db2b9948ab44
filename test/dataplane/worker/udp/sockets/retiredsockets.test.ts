import t from 'tap';
import { RetiredSockets } from '../../../../../lib/dataplane/worker/udp/sockets/retiredsockets.js';

t.test('a left socket stays for five seconds', async (t) => {
  const left = new RetiredSockets<string>();
  t.equal(left.deadline, Number.POSITIVE_INFINITY);
  left.add('one', 1000);
  left.add('two', 2000);
  t.equal(left.deadline, 6000);
  t.equal(left.expired(5999), null);
  t.equal(left.expired(6000), 'one');
  left.delete('one');
  t.equal(left.deadline, 7000);
  left.delete('one');
  t.equal(left.expired(7000), 'two');
});
