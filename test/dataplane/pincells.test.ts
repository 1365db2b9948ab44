import t from 'tap';
import { PinCells } from '../../lib/dataplane/pincells.js';
import { FIRST_ENDPOINT_CELL } from '../../lib/dataplane/shared/pincells.js';

const affinity = { by: 'client-ip', timeoutMs: 1000 };

function portal(id: number, pods: string, service = 'default/web') {
  return { id, service, endpoints: [...pods].map((name) => ({ id: name })), policy: { affinity } };
}

t.test('ports of a Service share the cells of its endpoints, Services do not', async (t) => {
  const cells = new PinCells();
  const { cells: given } = cells.change(
    [portal(1, 'ab'), portal(2, 'bc'), portal(3, 'b', 'default/other')],
    [],
  );
  const [[a, b], [b2, c], [other]] = [given.get(1)!, given.get(2)!, given.get(3)!];
  t.equal(b, b2);
  t.equal(new Set([a, b, c, other]).size, 4);
  t.ok(Math.min(...[a, b, c, other].map(Number)) >= FIRST_ENDPOINT_CELL);
});

t.test('a cell is free once the workers know that no portal has the endpoint', async (t) => {
  const cells = new PinCells();
  const [[a, b]] = [cells.change([portal(1, 'ab')], []).cells.get(1)!];
  const change = cells.change([portal(1, 'bc')], []);
  const [b2, c] = change.cells.get(1)!;
  t.equal(b2, b, 'what stays keeps its cell');
  t.not(c, a, 'the workers may still count there');
  change.settle();
  t.equal(cells.change([portal(1, 'bcd')], []).cells.get(1)?.[2], a);
  cells.change([], [1]).settle();
  t.same([...cells.change([portal(2, 'xyz')], []).cells.get(2)!].sort(), [a, b, c].sort());
});

t.test('a portal without affinity has no cells', async (t) => {
  const cells = new PinCells();
  const without = { ...portal(1, 'ab'), policy: { affinity: null } };
  t.equal(cells.change([without], []).cells.size, 0);
  cells.change([portal(1, 'ab')], []).settle();
  cells.change([without], []).settle();
  t.equal(cells.change([portal(2, 'ab')], []).cells.get(2)?.length, 2);
});

t.test('counts are listed by Service and endpoint', async (t) => {
  const cells = new PinCells();
  const [[, b]] = [cells.change([portal(1, 'ab')], []).cells.get(1)!];
  new Int32Array(cells.memory)[b as number] = 7;
  t.same([...cells.counts()], [{ service: 'default/web', endpoint: 'b', pins: 7 }]);
});
