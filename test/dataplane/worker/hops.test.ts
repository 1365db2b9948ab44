import t from 'tap';
import { hopsOnward } from '../../../lib/dataplane/worker/hops.js';

t.test('the proxy takes one hop, and leaves at most as many as the kernel’s default', async (t) => {
  t.equal(hopsOnward(64), 63);
  t.equal(hopsOnward(2), 1);
  t.equal(hopsOnward(1), 0);
  t.equal(hopsOnward(128), 64);
  t.equal(hopsOnward(255), 64);
});
