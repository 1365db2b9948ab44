import t from 'tap';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import { affinityStatus } from '../../lib/portal/status.js';

t.test('the status has the affinity time-out in seconds, like a Service', async (t) => {
  t.equal(affinityStatus(DEFAULT_POLICY), null);
  t.same(affinityStatus({ ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 10_800_000 } }), {
    by: 'client-ip',
    timeoutSeconds: 10_800,
  });
});
