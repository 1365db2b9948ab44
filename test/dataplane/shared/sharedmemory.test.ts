import t from 'tap';
import { DescriptorBudget } from '../../../lib/dataplane/shared/budget.js';
import {
  createCounterMemory,
  FIELD,
  firstCell,
  sumCounters,
  workerCells,
  zeroCounters,
} from '../../../lib/dataplane/shared/counters.js';
import { item } from '../../lab/items.js';

t.test('all who share the memory of a budget take from one limit', async (t) => {
  const main = new DescriptorBudget();
  main.limit = 5;
  const workers = [new DescriptorBudget(main.memory), new DescriptorBudget(main.memory)];
  t.ok(item(workers, 0).take(2));
  t.ok(item(workers, 1).take(2));
  t.notOk(item(workers, 0).take(2), 'one is not two');
  t.equal(main.used, 4, 'a refused taker keeps nothing');
  t.ok(item(workers, 0).take(1));
  main.limit = 3;
  item(workers, 1).give(2);
  t.notOk(item(workers, 1).take(1), 'a lower limit is in force at once');
  item(workers, 0).give(1);
  t.ok(item(workers, 1).take(1));
  t.equal(main.used, 3);
});

t.test('counters add up over workers and keep portals apart', async (t) => {
  const memory = createCounterMemory(2);
  const workers = [workerCells(memory, 0), workerCells(memory, 1)];
  for (const cells of workers) {
    cells[firstCell(1) + FIELD.bytesIn] = 2 ** 40;
    cells[firstCell(65_535) + FIELD.pinsMoved] = 1;
  }
  item(workers, 1)[firstCell(2) + FIELD.connectionsTotal] = 3;
  t.match(sumCounters(workers, 1), { bytesIn: 2 ** 41, bytesOut: 0, connectionsTotal: 0 });
  t.match(sumCounters(workers, 2), { connectionsTotal: 3, bytesIn: 0 });
  t.match(sumCounters(workers, 65_535), { pinsMoved: 2 }, 'the last portal');
  zeroCounters(workers, 1);
  t.match(sumCounters(workers, 1), { bytesIn: 0 });
  t.match(sumCounters(workers, 2), { connectionsTotal: 3 }, 'its neighbour is left alone');
});
