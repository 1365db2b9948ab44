import t from 'tap';
import { DEFAULT_POLICY } from '../../../../lib/portal/policy.js';
import { ECONNREFUSED, EHOSTUNREACH, EMFILE } from '../../../../lib/sys/errno.js';
import { ENDPOINTS, OneClient } from './oneclient.js';

t.test('a new flow gets a carrier to the first endpoint that works', async (t) => {
  const client = new OneClient(t);
  client.errors.set('a', EHOSTUNREACH);
  const flow = await client.ask();
  t.equal(client.mover.openCarrier(flow), true);
  t.same(client.log, ['open b']);
  t.same(client.counts, { a: [1, 0, 1, 1], b: [1, 1, 0, 0], c: [0, 0, 0, 0] });
  t.match(client.events, [{ kind: 'endpointFailed', endpoint: '10.0.1.1:1', reason: 'EHOSTUNREACH' }]);
});

t.test('a flow ends if no endpoint works', async (t) => {
  const client = new OneClient(t);
  for (const { id } of ENDPOINTS) client.errors.set(id, EHOSTUNREACH);
  t.equal(client.mover.openCarrier(await client.ask()), false);
  t.equal(client.events.length, ENDPOINTS.length, 'each was tried once');
  t.equal(client.table.size, 0);
});

t.test('a flow ends if this node lacks something, and no endpoint is blamed', async (t) => {
  const client = new OneClient(t);
  client.errors.set('a', EMFILE);
  t.equal(client.mover.openCarrier(await client.ask()), false);
  t.match(client.events, [{ kind: 'descriptorsOut' }]);
  t.equal(client.table.size, 0);
  t.same(client.counts, { a: [1, 0, 0, 0], b: [0, 0, 0, 0], c: [0, 0, 0, 0] });
});

t.test('datagrams that a refusing endpoint has not answered go to another one', async (t) => {
  const client = new OneClient(t);
  const flow = await client.ask();
  client.mover.openCarrier(flow);
  await client.ask();
  client.mover.answered(flow);
  await client.ask();
  client.log.length = 0;
  client.mover.refused(flow, ECONNREFUSED, false);
  t.same(client.log, ['drain a', 'close a', 'open b', 'send 1 to b']);
  t.same(client.counts, { a: [1, 0, 1, 1], b: [1, 1, 0, 0], c: [0, 0, 0, 0] });
});

t.test('an ICMP error without proof moves a flow only if it comes again after a datagram', async (t) => {
  const client = new OneClient(t);
  const flow = await client.ask();
  client.mover.openCarrier(flow);
  client.log.length = 0;
  client.mover.suspected(flow, ECONNREFUSED);
  t.same(client.log, ['send 1 to a']);
  client.mover.suspected(flow, ECONNREFUSED);
  t.same(client.log.slice(1), ['drain a', 'close a', 'open b', 'send 1 to b']);
});

t.test(
  'a flow leaves an endpoint that was removed from the Service, and ends with its last carrier',
  async (t) => {
    const client = new OneClient(t);
    const flow = await client.ask();
    client.mover.openCarrier(flow);
    client.portal.balancer.update({ endpoints: ENDPOINTS.slice(1), policy: DEFAULT_POLICY });
    t.equal(client.mover.moveIfNeeded(await client.ask()), true);
    t.match(client.log, ['open a', 'leave a', /^open [bc]$/]);
    const given = Object.values(client.counts).filter(([total]) => total === 1);
    t.same(given, [[1, 1, 0, 0]], 'one of the others has it');
    client.portal.balancer.update({ endpoints: [], policy: DEFAULT_POLICY });
    t.equal(client.mover.moveIfNeeded(await client.ask()), false);
    t.match(client.log.slice(3), [/^close [bc]$/, 'close a']);
    t.equal(client.table.size, 0);
  },
);
