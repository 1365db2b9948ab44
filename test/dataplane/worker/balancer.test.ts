import t from 'tap';
import { Balancer, type BalancerContext } from '../../../lib/dataplane/worker/balancer.js';
import type { Target } from '../../../lib/dataplane/worker/target.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../lib/portal/policy.js';
import type { Endpoint } from '../../../lib/portal/portal.js';
import { exactly } from '../../lab/items.js';
import { workerContext } from './fixtures.js';

const TIMEOUT = 10_000;
const PINNING: ServicePolicy = { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: TIMEOUT } };

const pods = (names: string, port = 80): Endpoint[] =>
  [...names].map((id, i) => ({ id, address: `10.0.0.${i + 1}`, port }));

/** One worker with a clock that the test moves. */
class Stage {
  now = 1;
  readonly context: BalancerContext;

  constructor(roundRobin = new Int32Array(8), maxPins = 1000) {
    this.context = workerContext({ now: () => this.now, roundRobin, maxPins });
  }

  /** Lets time pass, ms, and does what the loop then does. */
  pass(time: number): void {
    this.now += time;
    this.context.pins.expire(this.now);
  }

  balancer(endpoints: readonly Endpoint[], { portalId = 1, affinity = false } = {}): Balancer {
    const balancer = new Balancer(portalId, `default/web:port${portalId}`, 'default/web', this.context);
    balancer.update({ endpoints, policy: affinity ? PINNING : DEFAULT_POLICY });
    return balancer;
  }
}

const idOf = (target: Target | null) => target?.id ?? null;
const picks = (balancer: Balancer, times: number, client: number | null = null) =>
  Array.from({ length: times }, () => idOf(balancer.pick(client))).join('');

t.test('without pins, endpoints are picked in turn', async (t) => {
  const roundRobin = new Int32Array(8);
  const [one, other] = [
    new Stage(roundRobin).balancer(pods('abc')),
    new Stage(roundRobin).balancer(pods('abc')),
  ];
  t.equal(picks(one, 4) + picks(other, 4) + picks(one, 1), 'abcabcabc', 'workers share one turn');
  t.equal(picks(new Stage(roundRobin).balancer(pods('abc'), { portalId: 2 }), 1), 'a', 'portals do not');
  roundRobin[1] = 2 ** 31 - 2;
  t.equal(new Set(picks(one, 3)).size, 3, 'the turn may grow past 2^31');
  t.equal(new Stage().balancer([]).pick(null), null, 'nobody there');
});

t.test('new clients avoid an endpoint for a while after it failed, if there are others', async (t) => {
  const stage = new Stage();
  const balancer = stage.balancer(pods('abc'));
  const a = balancer.pick(null) as Target;
  balancer.rotation.avoid(a);
  t.notMatch(picks(balancer, 6), 'a');
  const [b, c] = [balancer.pick(null), balancer.pick(null)] as [Target, Target];
  balancer.rotation.avoid(b);
  balancer.rotation.avoid(c);
  t.equal(picks(balancer, 3).length, 3, 'a failed one is better than none');
  stage.now += 5000;
  t.equal(new Set(picks(balancer, 3)).size, 3, 'all are back');
});

t.test('a second pick leaves out the endpoints that were tried', async (t) => {
  const balancer = new Stage().balancer(pods('ab'));
  const a = balancer.pick(null) as Target;
  const b = balancer.pickOther(null, new Set([a])) as Target;
  t.not(b, a);
  t.equal(balancer.pickOther(null, new Set([a, b])), null);
});

/** Counts its questions: they are the steps of a pick. */
class CountingSet<T> extends Set<T> {
  questions = 0;

  override has(value: T): boolean {
    this.questions++;
    return super.has(value);
  }
}

t.test('a pick among thousands of failed endpoints looks at few of them', async (t) => {
  const endpoints = Array.from({ length: 10_000 }, (_, i) => ({
    id: `${i}`,
    address: '10.0.0.1',
    port: i + 1,
  }));
  const balancer = new Stage().balancer(endpoints);
  const tried = new CountingSet<Target>();
  for (let i = 0; i < 16; i++) {
    const target = balancer.pickOther(null, tried) as Target;
    balancer.rotation.avoid(target);
    tried.add(target);
  }
  t.equal(tried.size, 16);
  t.ok(tried.questions <= 16, `${tried.questions} steps, as the failed ones are set apart`);
  for (let i = 16; i < 10_000; i++) balancer.rotation.avoid(balancer.pick(null) as Target);
  tried.questions = 0;
  t.notOk(tried.has(balancer.pickOther(null, tried) as Target), 'one that failed is better than none');
  t.ok(tried.questions <= 18, `${tried.questions} steps`);
});

t.test('all other endpoints share the clients that an avoided one would get', async (t) => {
  const stage = new Stage();
  const balancer = stage.balancer(pods('abc'));
  balancer.rotation.avoid(balancer.pick(null) as Target);
  t.same([...picks(balancer, 6)].sort().join(''), 'bbbccc');
  balancer.update({ endpoints: pods('abcd'), policy: DEFAULT_POLICY });
  t.same([...picks(balancer, 6)].sort().join(''), 'bbccdd', 'also after an update');
  stage.now += 5000;
  t.same([...picks(balancer, 8)].sort().join(''), 'aabbccdd', 'and then all are equal again');
});

t.test('active-standby: all clients get the first endpoint, and the next one only without it', async (t) => {
  const stage = new Stage();
  const standby = { ...DEFAULT_POLICY, activeStandby: true };
  const balancer = stage.balancer([]);
  balancer.update({ endpoints: pods('abcd'), policy: standby });
  t.equal(picks(balancer, 4), 'aaaa');
  const a = balancer.pick(null) as Target;
  const b = balancer.pickOther(null, new Set([a])) as Target;
  t.equal(b.id, 'b');
  balancer.rotation.avoid(a);
  balancer.rotation.avoid(b);
  t.equal(picks(balancer, 4), 'cccc', 'two failed');
  balancer.update({ endpoints: pods('abcd').slice(1), policy: standby });
  t.equal(picks(balancer, 4), 'cccc', 'and the first one goes');
  balancer.update({ endpoints: pods('abcd'), policy: standby });
  t.equal(picks(balancer, 4), 'aaaa', 'it is back, as another process');
  stage.now += 5000;
  for (const target of ['a', 'b', 'c', 'd']) {
    t.equal(idOf(balancer.pick(null)), target);
    balancer.rotation.avoid(balancer.pick(null) as Target);
  }
  t.equal(picks(balancer, 2), 'aa', 'one that failed is better than none');
});

t.test('active-standby with affinity: who is pinned stays when the first endpoint comes back', async (t) => {
  const balancer = new Stage().balancer([]);
  const policy = { ...PINNING, activeStandby: true };
  balancer.update({ endpoints: pods('abc').slice(1), policy });
  t.equal(picks(balancer, 2, 1), 'bb');
  balancer.update({ endpoints: pods('abc'), policy });
  t.equal(picks(balancer, 2, 1), 'bb');
  t.equal(picks(balancer, 2, 2), 'aa', 'a new client does not');
  balancer.update({ endpoints: [pods('abc')[0]!, pods('abc')[2]!], policy });
  t.equal(picks(balancer, 2, 1), 'aa', 'once its endpoint goes, it follows');
});

t.test('an update keeps the targets that stay', async (t) => {
  const balancer = new Stage().balancer(pods('ab'));
  const [a, b] = [balancer.pick(null), balancer.pick(null)] as [Target, Target];
  const elsewhere = { id: 'b', address: '10.0.0.9', port: 80 };
  balancer.update({ endpoints: [a.endpoint, elsewhere], policy: DEFAULT_POLICY });
  t.ok(b.isRemoved, 'the same pod at another address is another target');
  t.notOk(a.isRemoved);
  t.ok([balancer.pick(null), balancer.pick(null)].includes(a));
});

t.test('a client keeps its pod on every port of the Service', async (t) => {
  const stage = new Stage();
  const tcp = stage.balancer(pods('abc'), { affinity: true });
  const udp = stage.balancer(pods('abc', 53), { portalId: 2, affinity: true });
  t.equal(picks(tcp, 2, 7) + picks(udp, 2, 7), 'aaaa');
  t.equal(picks(udp, 2, 8) + picks(tcp, 2, 8), 'aaaa', 'whichever port it uses first');
  t.equal(picks(tcp, 2, 9), 'bb', 'another client is the next in turn');
});

t.test('only the clients of a removed pod get another pod', async (t) => {
  const stage = new Stage();
  const tcp = stage.balancer(pods('abc'), { affinity: true });
  const udp = stage.balancer(pods('abc', 53), { portalId: 2, affinity: true });
  const homes = () => Array.from({ length: 30 }, (_, client) => picks(tcp, 1, client)).join('');
  const before = homes();
  const [a, , c] = exactly(3, pods('abc'));
  const [a53, , c53] = exactly(3, pods('abc', 53));
  tcp.update({ endpoints: [a, c], policy: PINNING });
  udp.update({ endpoints: [a53, c53], policy: PINNING });
  const after = homes();
  for (const [client, pod] of [...before].entries()) {
    if (pod === 'b') t.match(after[client], /[ac]/);
    else t.equal(after[client], pod);
    t.equal(picks(udp, 1, client), after[client], 'the other port agrees');
  }
  tcp.update({ endpoints: pods('abc'), policy: PINNING });
  t.equal(homes(), after, 'nobody moves back');
});

t.test('a port that the pinned pod does not serve has a pin of its own', async (t) => {
  const stage = new Stage();
  const web = stage.balancer(pods('abc'), { affinity: true });
  const admin = stage.balancer(pods('xy', 81), { portalId: 2, affinity: true });
  t.equal(picks(web, 1, 7), 'a');
  t.equal(picks(admin, 3, 7), 'xxx');
  t.equal(picks(web, 1, 7), 'a', "the Service's pin stays");
  t.equal(picks(admin, 1, 8) + picks(web, 1, 8) + picks(admin, 1, 8), 'yby', 'in either order');
});

t.test('a failed endpoint moves the pin only once, even if many connections fail', async (t) => {
  const stage = new Stage();
  const tcp = stage.balancer(pods('abc'), { affinity: true });
  const udp = stage.balancer(pods('abc', 53), { portalId: 2, affinity: true });
  const [failedTcp, failedUdp] = [tcp.pick(7), udp.pick(7)] as [Target, Target];
  t.ok(tcp.unpin(7, failedTcp));
  const moved = tcp.pickOther(7, new Set([failedTcp]));
  t.not(idOf(moved), 'a');
  t.notOk(udp.unpin(7, failedUdp), 'the pin is no longer one to the failed pod');
  t.equal(idOf(udp.pickOther(7, new Set([failedUdp]))), idOf(moved), 'the flow follows');
  t.equal(picks(tcp, 2, 7), `${moved?.id}${moved?.id}`);
});

t.test('a pin lives as long as it is used', async (t) => {
  const stage = new Stage();
  const balancer = stage.balancer(pods('abc'), { affinity: true });
  t.equal(picks(balancer, 1, 7), 'a');
  for (let i = 0; i < 3; i++) {
    stage.pass(TIMEOUT - 1);
    t.equal(picks(balancer, 1, 7), 'a', 'a pick is use');
    stage.pass(TIMEOUT - 1);
    balancer.refresh(7);
  }
  stage.pass(TIMEOUT + 1);
  t.equal(picks(balancer, 1, 7), 'b', 'the time-out frees it');
});

t.test('beyond its capacity, the pin table drops the least recently used pin', async (t) => {
  const stage = new Stage(new Int32Array(8), 100);
  const { pins } = stage.context;
  const balancer = stage.balancer(pods('abc'), { affinity: true });
  const home = picks(balancer, 1, -1);
  for (let client = 0; client < 5000; client++) {
    balancer.pick(client);
    if (client % 50 === 0) t.equal(picks(balancer, 1, -1), home, 'a client that comes often stays');
  }
  t.equal(pins.size, 100);
  t.equal(pins.find('default/web', null, 0), undefined);
  t.ok(pins.find('default/web', null, 4999));
});

t.test('new clients avoid an endpoint after it has refused two clients, not one', async (t) => {
  const balancer = new Stage().balancer(pods('abc'));
  const target = balancer.pick(null) as Target;
  t.notOk(target.isRefusedAgain('one', 1000));
  t.notOk(target.isRefusedAgain('one', 1001), 'the same client again');
  t.ok(target.isRefusedAgain('two', 1002), 'another one');
  t.notOk(target.isRefusedAgain('three', 7000), 'long after');
  target.answeredAt = 7001;
  t.notOk(target.isRefusedAgain('four', 7002), 'it has answered meanwhile');
});
