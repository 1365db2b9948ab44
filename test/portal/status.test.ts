import t from 'tap';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import { affinityStatus } from '../../lib/portal/status.js';

t.test('affinity is told in seconds, as a Service has it', async (t) => {
  t.equal(affinityStatus(DEFAULT_POLICY), null);
  t.same(affinityStatus({ affinity: { by: 'client-ip', timeoutMs: 10_800_000 } }), {
    by: 'client-ip',
    timeoutSeconds: 10_800,
  });
});
