import t from 'tap';
import { listEndpoints } from '../../lib/controlplane/endpoints.js';
import { EndpointSums } from '../../lib/dataplane/endpointsums.js';
import {
  type EndpointFilter,
  type EndpointStatus,
  type UsedEndpoint,
  type UsedEndpoints,
  unusedEndpoint,
} from '../../lib/dataplane/shared/endpoints.js';
import type { Portal } from '../../lib/portal/portal.js';
import { item } from '../lab/items.js';
import { portalOf } from './portals.js';

const ALL: EndpointFilter = { service: null, onlyUsed: false };

function used(endpoint: string, over: Partial<UsedEndpoint> = {}): UsedEndpoint {
  return { ...unusedEndpoint(endpoint), ...over };
}

function withEndpoints(key: string, count: number): Portal {
  const endpoints = Array.from({ length: count }, (_, index) => ({
    id: `default/pod-${index}`,
    address: `10.0.${index >> 8}.${index & 255}`,
    port: 80,
  }));
  return { ...portalOf(key, { vips: ['10.96.0.1:80'] }), endpoints };
}

/** A node with some portals, by id, and two workers. */
class Node {
  /** The ids of each question. */
  readonly asked: (readonly number[])[] = [];

  constructor(
    readonly portals: readonly Portal[],
    readonly answers: readonly UsedEndpoints[][] = [],
  ) {}

  async list(filter: EndpointFilter): Promise<readonly EndpointStatus[]> {
    const all: EndpointStatus[] = [];
    const portals = this.portals.map((portal, index) => ({ id: index + 1, portal }));
    for await (const page of listEndpoints(portals, filter, this)) all.push(...page);
    return all;
  }

  async usedEndpoints(ids: readonly number[]): Promise<EndpointSums> {
    this.asked.push(ids);
    const sums = new EndpointSums();
    for (const answer of this.answers) sums.add(answer.filter(({ id }) => ids.includes(id)));
    return sums;
  }
}

t.test('what several workers have counted is added up', async (t) => {
  const failure = (agoMs: number) => ({ reason: `${agoMs}`, agoMs });
  const counted = { total: 3, active: 1, carriedActive: 5, failures: 2, moved: 1 };
  const amounts = { datagramsIn: 1, datagramsOut: 2, bytesIn: 30, bytesOut: 40 };
  const one = used('10.0.0.1:80', { ...counted, ...amounts, lastFailure: failure(900) });
  const other = used('10.0.0.1:80', {
    total: 4,
    carriedActive: -2,
    isAvoided: true,
    lastFailure: failure(20),
  });
  const node = new Node(
    [withEndpoints('default/web:/TCP/IPv4', 2)],
    [[{ id: 1, endpoints: [one] }], [{ id: 1, endpoints: [other] }]],
  );
  const [first, second] = await node.list(ALL);
  t.match(first, { endpoint: '10.0.0.0:80', state: 'ready', total: 0, lastFailure: null });
  t.match(second, {
    ...{ key: 'default/web:/TCP/IPv4', pod: 'default/pod-1', state: 'avoided' },
    ...{ ...counted, total: 7, carriedActive: 3, ...amounts, lastFailure: failure(20) },
  });
});

t.test('endpoints that are gone are not listed; flows to all endpoints are', async (t) => {
  const endpoints = [used('10.9.9.9:80', { total: 1 }), used('all', { total: 2 })];
  const node = new Node([withEndpoints('default/web:/UDP/IPv4', 1)], [[{ id: 1, endpoints }]]);
  const names = (await node.list(ALL)).map(({ endpoint, pod, total }) => [endpoint, pod, total]);
  t.same(names, [
    ['10.0.0.0:80', 'default/pod-0', 0],
    ['all', null, 2],
  ]);
});

t.test('only used ones, or only those of one Service', async (t) => {
  const portals = ['default/web:/TCP/IPv4', 'default/dns:/UDP/IPv4'].map((key) => withEndpoints(key, 3));
  const node = new Node(portals, [[{ id: 2, endpoints: [used('10.0.0.2:80', { total: 1 })] }]]);
  const onlyUsed = await node.list({ ...ALL, onlyUsed: true });
  t.match(onlyUsed, [{ service: 'default/dns', endpoint: '10.0.0.2:80', total: 1 }]);
  t.equal(onlyUsed.length, 1);
  node.asked.length = 0;
  t.equal((await node.list({ ...ALL, service: 'default/web' })).length, 3);
  t.same(node.asked, [[1]], 'workers are asked about its portals only');
});

t.test('about a thousand endpoints are asked for at a time', async (t) => {
  const node = new Node(Array.from({ length: 50 }, (_, i) => withEndpoints(`default/s${i}:/TCP/IPv4`, 100)));
  t.equal((await node.list(ALL)).length, 5000);
  t.same(
    node.asked.flat(),
    node.portals.map((_, index) => index + 1),
    'each portal is asked for once',
  );
  for (const ids of node.asked) t.ok(ids.length <= 10, `${ids.length} portals`);
  t.ok(item(node.asked, 0).length > 1);
});
