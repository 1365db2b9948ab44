import t from 'tap';
import { createCounterMemory, workerCells } from '../../../lib/dataplane/shared/counters.js';
import type { WorkerPortal } from '../../../lib/dataplane/shared/messages.js';
import { Failover } from '../../../lib/dataplane/worker/failover.js';
import { PinTable } from '../../../lib/dataplane/worker/pins.js';
import { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import { ServiceEndpoints } from '../../../lib/dataplane/worker/serviceendpoints.js';
import type { Target } from '../../../lib/dataplane/worker/target.js';
import { EVERYONE } from '../../../lib/portal/admission.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../lib/portal/policy.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';

const CLIENT = SocketAddress.of('10.0.0.7', 50_000).memory.words;
const PINNING: ServicePolicy = { affinity: { by: 'client-ip', timeoutMs: 10_000 } };

function portalWith(endpoints: number, policy: ServicePolicy): ServedPortal {
  const now = () => 1;
  const context = {
    pins: new PinTable(10, now),
    services: new ServiceEndpoints(),
    roundRobin: new Int32Array(2),
    now,
  };
  const record: WorkerPortal = {
    slot: 1,
    key: 'default/web:/TCP/IPv4',
    service: 'default/web',
    protocol: 'TCP',
    family: 'IPv4',
    listeners: [],
    endpoints: Array.from({ length: endpoints }, (_, i) => ({
      id: `pod-${i}`,
      address: '10.0.0.1',
      port: i + 1,
    })),
    policy,
    admission: EVERYONE,
  };
  const portal = new ServedPortal(record, context, workerCells(createCounterMemory(1), 0));
  portal.update(record);
  return portal;
}

/** Whom a client meets where everyone fails, a time between two failures. */
function triedIn(portal: ServedPortal, interval = 0): Target[] {
  const key = portal.balancer.keyOf(CLIENT, 0, null);
  const failover = new Failover(portal, key, 0);
  const tried: Target[] = [];
  let target = portal.balancer.pick(key);
  for (let now = 0; target !== null; now += interval) {
    portal.blame(target, key);
    tried.push(target);
    target = failover.next(target, now);
  }
  return tried;
}

for (const policy of [DEFAULT_POLICY, PINNING]) {
  t.test(`who fails over, ${policy === PINNING ? 'with' : 'without'} affinity`, async (t) => {
    const few = triedIn(portalWith(5, policy));
    t.equal(few.length, 5, 'meets each of a few');
    t.equal(new Set(few).size, 5, 'once');
    const many = portalWith(10_000, policy);
    t.equal(triedIn(many).length, 16, 'and sixteen of many');
    t.equal(triedIn(portalWith(10, policy), 2000).length, 5, 'for eight seconds');
  });
}
