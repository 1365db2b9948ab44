import t from 'tap';
import type { Contender, Role } from '../../bench/contenders/contender.js';
import { contenders } from '../../bench/contenders/index.js';
import { page, picture } from '../../bench/report/page.js';
import { rowPlot } from '../../bench/report/row-plot.js';
import { table } from '../../bench/report/table.js';
import type { Figure, Values } from '../../bench/rows/figure.js';
import { ROWS } from '../../bench/rows/index.js';
import { type Summary, summarize } from '../../bench/summary.js';
import { item } from '../lab/items.js';
import { unbalanced } from '../lab/markuptext.js';

const all = contenders('/bin/false');

/** A value for every figure of every row. The kernel has no CPU time. */
const summaries: Summary[] = summarize(
  ROWS.flatMap((row) =>
    all
      .filter((contender) => row.suits(contender))
      .flatMap(({ id, role }) =>
        [0, 1, 2].map((round) => ({
          row: row.id,
          contender: id,
          round,
          values: valuesFor(row.figures, role, round),
          disturbance: 0,
        })),
      ),
  ),
);

function valuesFor(figures: readonly Figure[], role: Role, round: number): Values {
  const known = figures.filter(({ id }) => !(id === 'cpu' && role === 'path'));
  return Object.fromEntries(known.map(({ id }, index) => [id, 1000 * (index + 1) + round]));
}

t.test('every row has a well-formed plot', async (t) => {
  for (const row of ROWS) {
    const plot = String(rowPlot(row, summaries, all));
    t.same(unbalanced(plot), [], row.id);
    t.notMatch(plot, /NaN|undefined|Infinity|width="-/);
    for (const { title } of all.filter((contender) => row.suits(contender))) t.ok(plot.includes(title));
  }
});

t.test('a plot has bars in proportion, whiskers and ratios', async (t) => {
  const row = ROWS.find(({ id }) => id === 'udp')!;
  const rates = { kernel: [90, 100, 110], nginx: [50, 50, 50], 'kube-portal-relay-1': [75, 75, 75] };
  const summaries = summarize(
    Object.entries(rates).flatMap(([contender, values]) =>
      values.map((rate, round) => ({ row: 'udp', contender, round, values: { rate }, disturbance: 0 })),
    ),
  );
  const plot = String(rowPlot(row, summaries, all));
  const widths = [...plot.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
  t.equal(widths.length, 3);
  t.ok(Math.abs(item(widths, 1) / item(widths, 0) - 0.5) < 0.01, 'half as much, half as long');
  const texts = [...plot.matchAll(/<text [^>]*>([^<]*)</g)].map(([, content]) => content);
  t.ok(texts.includes('× kernel') && texts.includes('× best peer'));
  t.notOk(texts.includes('× kube-proxy'), 'who was not measured is no reference');
  t.same(
    texts.filter((content) => content?.match(/^\d\.\d\d$/)),
    ['0.50', '1.00', '0.75', '1.50'],
    'ratios of nginx and of kube-portal',
  );
  t.equal(plot.match(/class="whisker"/g)?.length, 9, 'a line with two ends for each');
});

t.test('the page loads nothing, and is dark if the reader’s system is dark', async (t) => {
  const html = page('4 cores of a <machine>', summaries, ROWS, all);
  t.match(html, '4 cores of a &#60;machine&#62;');
  t.notMatch(html, /<script|<link|<img|@import|url\(/);
  t.match(html, 'prefers-color-scheme: dark');
  for (const { title } of ROWS) t.ok(html.includes(title), title);
});

t.test('the picture is a well-formed SVG file', async (t) => {
  const svg = picture(summaries, ROWS, all);
  t.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  t.same(unbalanced(svg), []);
  t.notMatch(svg, /NaN|undefined|Infinity/);
});

t.test(
  'the table has a line for each contender, and a dash for a figure that it does not have',
  async (t) => {
    const udp = ROWS.filter(({ id }) => id === 'udp');
    const some: Contender[] = all.filter(({ id }) => id === 'kernel' || id === 'nginx');
    const [title, head, kernel, nginx] = table(summaries, udp, some).split('\n');
    t.equal(title, item(udp, 0).title);
    t.match(
      head,
      /per second +lowest +highest +× kernel +× best peer +CPU s per million +lost % +others use/,
    );
    t.match(kernel, /kernel DNAT +1001 +1000 +1002 +1\.00 +1\.00 +- +2001 +0\.00/);
    t.match(nginx, /nginx stream, 2 workers +1001 .* 2001 +3001/);
  },
);
