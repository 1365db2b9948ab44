import t from 'tap';
import { Capacity } from '../../lib/controlplane/capacity.js';
import { Placements } from '../../lib/controlplane/placement.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../lib/portal/policy.js';

const PINNED: ServicePolicy = { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 1000 } };
const BY_PARTICIPANT: ServicePolicy = {
  ...DEFAULT_POLICY,
  affinity: { by: 'rtps-participant', timeoutMs: 1000 },
};

const roomy = () => new Capacity(100_000);
/** Listeners may use a tenth of the descriptors. */
const narrow = () => {
  const capacity = new Capacity(1000);
  capacity.listenersOpened(100);
  return capacity;
};

t.test('portals listen in all workers if there is room and the kernel can steer', async (t) => {
  const placements = new Placements(4, true, roomy());
  t.equal(placements.join('a', DEFAULT_POLICY), null);
  t.equal(placements.join('b', PINNED), null);
  const unsteered = new Placements(4, false, roomy());
  t.equal(unsteered.join('a', DEFAULT_POLICY), null);
  t.equal(unsteered.join('b', PINNED), 0, 'affinity needs one worker then');
  t.equal(unsteered.join('c', PINNED), 1, 'the next Service has the next one');
  t.equal(new Placements(1, true, roomy()).join('a', DEFAULT_POLICY), 0);
});

t.test('one worker has all pins of a Service if its pin key is not the address', async (t) => {
  const placements = new Placements(2, true, roomy());
  const join = (service: string) => placements.join(service, BY_PARTICIPANT);
  t.same(['a', 'a', 'b', 'c'].map(join), [0, 0, 1, 0], 'all its ports, and the next Service the next one');
  for (const rtpsRouting of ['follow', 'fan-out'] as const) {
    t.not(placements.join(rtpsRouting, { ...DEFAULT_POLICY, rtpsRouting }), null);
  }
  t.equal(placements.join('d', { ...PINNED, rtpsRouting: 'pin' }), null, 'pins by address need that not');
  t.equal(placements.join('b', PINNED), null, 'the annotation goes');
  placements.leave('b', BY_PARTICIPANT);
  t.equal(join('b'), 1, 'and comes again');
  const standby = { ...DEFAULT_POLICY, rtpsRouting: 'pin', activeStandby: true } as const;
  t.not(placements.join('e', standby), null, 'nobody is steered by address');
});

t.test('without room, each Service gets one worker, in turn', async (t) => {
  const placements = new Placements(2, true, narrow());
  t.same(
    ['a', 'b', 'c'].map((service) => placements.join(service, DEFAULT_POLICY)),
    [0, 1, 0],
  );
});

t.test('portals that have not opened their listeners yet count too', async (t) => {
  const placements = new Placements(2, true, new Capacity(40));
  const join = (service: string) => placements.join(service, DEFAULT_POLICY);
  t.same(['a', 'a', 'b', 'c'].map(join), [null, null, 0, 1], 'two listeners each, and four may be');
  placements.leave('a', DEFAULT_POLICY);
  placements.leave('b', DEFAULT_POLICY);
  placements.leave('c', DEFAULT_POLICY);
  t.equal(join('d'), null, 'who left counts no more');
});

t.test('a decision holds for all portals of a Service, until the last one leaves', async (t) => {
  const capacity = roomy();
  const placements = new Placements(4, true, capacity);
  t.equal(placements.join('a', PINNED), null);
  capacity.listenersOpened(25_000);
  t.equal(placements.join('a', PINNED), null, 'no second thoughts');
  placements.leave('a', PINNED);
  t.equal(placements.join('a', PINNED), null);
  placements.leave('a', PINNED);
  placements.leave('a', PINNED);
  t.equal(placements.join('a', PINNED), 0, 'a new decision');
});

t.test('capacity is divided and never negative', async (t) => {
  const capacity = new Capacity(20_000);
  const before = capacity.forTraffic;
  capacity.listenersOpened(100);
  t.equal(capacity.forTraffic, before - 100);
  capacity.listenersClosed(100);
  t.equal(capacity.forTraffic, before);
  t.ok(capacity.maxFlows <= before / 2);
  t.ok(capacity.hasRoomInAll(2000, 0));
  t.notOk(capacity.hasRoomInAll(2001, 0));
  t.notOk(capacity.hasRoomInAll(2000, 1));
  const tiny = new Capacity(64);
  t.equal(tiny.forTraffic, 0);
  t.equal(tiny.maxFlows, 64);
  t.equal(new Capacity(10_000_000).maxFlows, 131_072);
});

t.test('what the kernel may carry is in workers with queues, and pins are in one of them', async (t) => {
  const carried: ServicePolicy = { ...DEFAULT_POLICY, carrier: 'kernel' };
  const pinned: ServicePolicy = { ...PINNED, carrier: 'kernel' };
  const mayCarry = ({ carrier }: ServicePolicy) => carrier === 'kernel';
  const placements = new Placements(8, true, roomy(), mayCarry);
  t.equal(placements.join('any', carried), null, 'without pins, all workers listen');
  const services = ['a', 'b', 'c', 'd', 'e', 'f'];
  t.same(
    services.map((service) => placements.join(service, pinned)),
    [0, 1, 2, 3, 0, 1],
  );
  t.equal(placements.join('a', PINNED), null, 'the annotation goes, and the kernel steers again');
  const cramped = new Placements(8, true, narrow(), mayCarry);
  t.same(
    services.map((service) => cramped.join(service, carried)),
    [0, 1, 2, 3, 0, 1],
    'without room, too',
  );
});
