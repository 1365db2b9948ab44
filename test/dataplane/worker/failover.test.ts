import t from 'tap';
import { Failover } from '../../../lib/dataplane/worker/failover.js';
import type { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import type { Target } from '../../../lib/dataplane/worker/target.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../lib/portal/policy.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { servedPortal } from './fixtures.js';

const CLIENT = SocketAddress.of('10.0.0.7', 50_000).memory.words;
const PINNING: ServicePolicy = { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 10_000 } };

function portalWith(endpoints: number, policy: ServicePolicy): ServedPortal {
  return servedPortal({
    endpoints: Array.from({ length: endpoints }, (_, i) => ({
      id: `pod-${i}`,
      address: '10.0.0.1',
      port: i + 1,
    })),
    policy,
  });
}

/** The endpoints that one client tries if all fail, `interval` ms apart. Each failure must be reported. */
function triedIn(portal: ServedPortal, interval = 0): Target[] {
  const reported: string[] = [];
  const key = portal.balancer.keyOf(CLIENT, 0, null);
  const failover = new Failover(portal, key, 0, (event) => {
    if (event.kind === 'endpointFailed') reported.push(event.endpoint);
  });
  const tried: Target[] = [];
  let target = portal.balancer.pick(key);
  for (let now = 0; target !== null; now += interval) {
    tried.push(target);
    target = failover.next(target, 'ECONNREFUSED', now);
  }
  t.same(
    reported,
    tried.map(({ name }) => name),
  );
  return tried;
}

for (const policy of [DEFAULT_POLICY, PINNING]) {
  t.test(
    `failing over tries each endpoint once, at most 16, for 8 s, ${policy === PINNING ? 'with' : 'without'} affinity`,
    async (t) => {
      const few = triedIn(portalWith(5, policy));
      t.equal(few.length, 5, 'each of a few');
      t.equal(new Set(few).size, 5, 'each once');
      const many = portalWith(10_000, policy);
      t.equal(triedIn(many).length, 16, 'sixteen of many');
      t.equal(triedIn(portalWith(10, policy), 2000).length, 5, 'one in two seconds, for eight seconds');
    },
  );
}
