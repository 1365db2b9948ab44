import t from 'tap';
import { Capacity } from '../../lib/controlplane/capacity.js';
import { Placements } from '../../lib/controlplane/placement.js';

const roomy = () => new Capacity(100_000);
/** A tenth of it is used up by listeners. */
const narrow = () => {
  const capacity = new Capacity(1000);
  capacity.listenersOpened(100);
  return capacity;
};

t.test('portals listen in all workers if there is room and the kernel can steer', async (t) => {
  const placements = new Placements(4, true, roomy());
  t.equal(placements.join('a', false), null);
  t.equal(placements.join('b', true), null);
  const unsteered = new Placements(4, false, roomy());
  t.equal(unsteered.join('a', false), null);
  t.equal(unsteered.join('b', true), 0, 'affinity needs one worker then');
  t.equal(unsteered.join('c', true), 1, 'the next Service has the next one');
  t.equal(new Placements(1, true, roomy()).join('a', false), 0);
});

t.test('without room, each Service gets one worker, in turn', async (t) => {
  const placements = new Placements(2, true, narrow());
  t.same(
    ['a', 'b', 'c'].map((service) => placements.join(service, false)),
    [0, 1, 0],
  );
});

t.test('portals that have not opened their listeners yet count too', async (t) => {
  const placements = new Placements(2, true, new Capacity(40));
  const join = (service: string) => placements.join(service, false);
  t.same(['a', 'a', 'b', 'c'].map(join), [null, null, 0, 1], 'two listeners each, and four may be');
  placements.leave('a', false);
  placements.leave('b', false);
  placements.leave('c', false);
  t.equal(join('d'), null, 'who left counts no more');
});

t.test('a decision holds for all portals of a Service, until the last one leaves', async (t) => {
  const capacity = roomy();
  const placements = new Placements(4, true, capacity);
  t.equal(placements.join('a', true), null);
  capacity.listenersOpened(25_000);
  t.equal(placements.join('a', true), null, 'no second thoughts');
  placements.leave('a', true);
  t.equal(placements.join('a', true), null);
  placements.leave('a', true);
  placements.leave('a', true);
  t.equal(placements.join('a', true), 0, 'a new decision');
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
