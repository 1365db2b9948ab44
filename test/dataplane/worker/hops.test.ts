import t from 'tap';
import { hopsOnward } from '../../../lib/dataplane/worker/hops.js';

t.test('the proxy is one hop more, and nobody has more of them than the kernel gives', async (t) => {
  t.equal(hopsOnward(64), 63);
  t.equal(hopsOnward(2), 1);
  t.equal(hopsOnward(1), 0);
  t.equal(hopsOnward(128), 64);
  t.equal(hopsOnward(255), 64);
});
