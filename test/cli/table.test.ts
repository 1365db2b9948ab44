import t from 'tap';
import { table } from '../../lib/cli/table.js';

t.test('columns are aligned under their titles', (t) => {
  const text = table(
    ['NAME', 'AGE'],
    [
      ['a-long-name', '1'],
      ['b', '200'],
    ],
  );
  t.equal(text, 'NAME         AGE\na-long-name  1\nb            200\n');
  t.end();
});

t.test('a cell with several lines makes its row higher', (t) => {
  const text = table(['NAME', 'VIP', 'X'], [['web', '1\n2', 'y']]);
  t.equal(text, 'NAME  VIP  X\nweb   1    y\n      2\n');
  t.end();
});

t.test('a table without rows has its titles only', (t) => {
  t.equal(table(['NAME', 'VIP'], []), 'NAME  VIP\n');
  t.end();
});

t.test('a table can have very many lines', async (t) => {
  const rows = Array.from({ length: 300_000 }, (_, i) => [String(i)]);
  t.match(table(['NUMBER'], rows).slice(-8), /299999\n$/);
});
