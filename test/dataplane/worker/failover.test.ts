import t from 'tap';
import { createCounterMemory, workerCells } from '../../../lib/dataplane/counters.js';
import { Failover } from '../../../lib/dataplane/worker/failover.js';
import { PinTable } from '../../../lib/dataplane/worker/pins.js';
import { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import { ServiceEndpoints } from '../../../lib/dataplane/worker/serviceendpoints.js';
import type { Target } from '../../../lib/dataplane/worker/target.js';

const CLIENT = 7;

function portalWith(endpoints: number, affinityTimeout: number | null): ServedPortal {
  const now = () => 1;
  const context = {
    pins: new PinTable(10, now),
    services: new ServiceEndpoints(),
    roundRobin: new Int32Array(2),
    now,
  };
  const portal = new ServedPortal(
    {
      slot: 1,
      key: 'default/web:/TCP/IPv4',
      service: 'default/web',
      protocol: 'TCP',
      family: 'IPv4',
      listeners: [],
      endpoints: [],
      affinityTimeout,
      admission: { sources: null, insiders: null },
    },
    context,
    workerCells(createCounterMemory(1), 0),
  );
  portal.balancer.affinityTimeout = affinityTimeout;
  portal.balancer.update(
    Array.from({ length: endpoints }, (_, i) => ({ id: `pod-${i}`, address: '10.0.0.1', port: i + 1 })),
  );
  return portal;
}

/** Whom a client meets where everyone fails, a time between two failures. */
function triedIn(portal: ServedPortal, interval = 0): Target[] {
  const client = portal.balancer.affinityTimeout === null ? null : CLIENT;
  const failover = new Failover(portal, client, 0);
  const tried: Target[] = [];
  let target = portal.balancer.pick(client);
  for (let now = 0; target !== null; now += interval) {
    portal.blame(target, client);
    tried.push(target);
    target = failover.next(target, now);
  }
  return tried;
}

for (const affinityTimeout of [null, 10_000]) {
  t.test(`who fails over, ${affinityTimeout === null ? 'without' : 'with'} affinity`, async (t) => {
    const few = triedIn(portalWith(5, affinityTimeout));
    t.equal(few.length, 5, 'meets each of a few');
    t.equal(new Set(few).size, 5, 'once');
    const many = portalWith(10_000, affinityTimeout);
    t.equal(triedIn(many).length, 16, 'and sixteen of many');
    t.equal(triedIn(portalWith(10, affinityTimeout), 2000).length, 5, 'for eight seconds');
  });
}
