import t from 'tap';
import { Heat, HOT_DATAGRAMS, WINDOW_MS } from '../../../../../lib/dataplane/worker/udp/hot/heat.js';

t.test('a flow is hot after enough datagrams within the window', async (t) => {
  const heat = new Heat();
  t.notOk(heat.add(HOT_DATAGRAMS - 1, 5000));
  t.ok(heat.add(1, 5000 + WINDOW_MS - 1));
});

t.test('datagrams of the window before do not count', async (t) => {
  const heat = new Heat();
  t.notOk(heat.add(HOT_DATAGRAMS - 1, 5000));
  t.notOk(heat.add(HOT_DATAGRAMS - 1, 5000 + WINDOW_MS));
  t.ok(heat.add(1, 5000 + WINDOW_MS));
});

t.test('a flow that has cooled begins again', async (t) => {
  const heat = new Heat();
  t.ok(heat.add(HOT_DATAGRAMS, 5000));
  heat.cool();
  t.notOk(heat.add(1, 5001));
});
