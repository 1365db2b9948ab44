import t from 'tap';
import { usedEndpoints } from '../../../lib/dataplane/worker/endpointlisting.js';
import { Failover } from '../../../lib/dataplane/worker/failover.js';
import type { ServedPortal } from '../../../lib/dataplane/worker/servedportal.js';
import { DEFAULT_POLICY } from '../../../lib/portal/policy.js';
import type { Endpoint } from '../../../lib/portal/portal.js';
import { item } from '../../lab/items.js';
import { servedPortal } from './fixtures.js';

const A: Endpoint = { id: 'a', address: '10.0.0.1', port: 80 };
const B: Endpoint = { id: 'b', address: 'fd00::2', port: 80 };
const NOW = 1;

function portalWith(...endpoints: Endpoint[]): ServedPortal {
  return servedPortal({ endpoints });
}

/** What is told of the endpoints of one portal. */
function told(portal: ServedPortal, now = NOW) {
  return item(
    usedEndpoints([1], () => portal, now),
    0,
  ).endpoints;
}

t.test('only endpoints that were used are told, by their names', async (t) => {
  const portal = portalWith(A, B);
  t.same(told(portal), []);
  item(portal.balancer.rotation.targets, 1).counts.total++;
  t.match(told(portal), [
    { endpoint: '[fd00::2]:80', total: 1, active: 0, isAvoided: false, lastFailure: null },
  ]);
  t.equal(told(portal).length, 1);
});

t.test('portals that are gone are left out', async (t) => {
  const portal = portalWith(A);
  t.same(
    usedEndpoints([7, 1, 8], (id) => (id === 1 ? portal : undefined), NOW).map(({ id }) => id),
    [1],
  );
});

t.test('a failure is told with its reason and time, and whether others avoid the endpoint', async (t) => {
  const portal = portalWith(A, B);
  const [first, second] = portal.balancer.rotation.targets;
  const failover = new Failover(portal, null, NOW, () => undefined);
  t.equal(failover.next(first!, 'ECONNREFUSED', NOW), second);
  t.match(told(portal, NOW + 2500), [
    { failures: 1, isAvoided: true, lastFailure: { reason: 'ECONNREFUSED', agoMs: 2500 } },
  ]);
  failover.next(second!, 'no answer to one client', NOW, false);
  t.match(told(portal)[1], {
    failures: 1,
    isAvoided: false,
    lastFailure: { reason: 'no answer to one client' },
  });
});

t.test('counters stay with an endpoint that stays, and end with one that goes', async (t) => {
  const portal = portalWith(A, B);
  for (const { counts } of portal.balancer.rotation.targets) counts.bytesIn = 5;
  const update = (endpoints: readonly Endpoint[]) =>
    portal.balancer.update({ endpoints, policy: DEFAULT_POLICY });
  update([B]);
  t.match(told(portal), [{ endpoint: '[fd00::2]:80', bytesIn: 5 }]);
  update([A, B]);
  t.equal(told(portal).length, 1, 'it comes again as a new one');
});
