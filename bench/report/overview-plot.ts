import { element, type Markup } from '../../lib/markup/markup.js';
import type { Contender, Role } from '../contenders/contender.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { text } from './svg.js';

/** Sizes are pixels. */
const WIDTH = 880;
const NAME_WIDTH = 350;
const RIGHT_MARGIN = 24;
const LINE_HEIGHT = 24;
const HEAD_HEIGHT = 46;
const DOT_RADIUS = 5;
const TICKS = [0, 0.25, 0.5, 0.75, 1];
/** The ratio to the kernel's figure at the right end. */
const MAX_RATIO = 1.1;
const KERNEL = 'kernel';

interface Mark {
  readonly role: Role;
  readonly contender: string;
  /** The figure divided by the kernel's. */
  readonly ratio: number;
}

/** A plot of all rates: each proxy's rate as a share of the kernel's. @param background lies under it */
export function overviewPlot(
  summaries: readonly Summary[],
  rows: readonly Row[],
  contenders: readonly Contender[],
  ...background: readonly Markup[]
): Markup {
  const lines = rows.flatMap((row) => {
    const marks = marksOf(row, summaries, contenders);
    return marks.length === 0 ? [] : [{ title: row.title.replace(/, highest rate.*/, ''), marks }];
  });
  const height = HEAD_HEIGHT + lines.length * LINE_HEIGHT + 8;
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${WIDTH} ${height}`,
    width: WIDTH,
    height,
    role: 'img',
  };
  return element(
    'svg',
    attributes,
    element('title', {}, 'Rates as a share of the kernel’s DNAT'),
    ...background,
    ...legend(contenders),
    ...scale(height),
    ...lines.flatMap(({ title, marks }, i) =>
      linePlot(title, marks, HEAD_HEIGHT + i * LINE_HEIGHT + LINE_HEIGHT / 2),
    ),
  );
}

/** Empty for rows whose main figure is a latency or a size. */
function marksOf(row: Row, summaries: readonly Summary[], contenders: readonly Contender[]): Mark[] {
  const [figure] = row.figures;
  const medianOf = (contender: string) =>
    summaries.find((summary) => summary.row === row.id && summary.contender === contender)?.spreads[figure.id]
      ?.median;
  const kernel = medianOf(KERNEL);
  if (figure.better === 'less' || !kernel) return [];
  return contenders
    .filter(({ role }) => role !== 'path')
    .flatMap(({ id, role }) => {
      const median = medianOf(id);
      return median === undefined ? [] : [{ role, contender: id, ratio: median / kernel }];
    });
}

function xOf(ratio: number): number {
  return NAME_WIDTH + (Math.min(ratio, MAX_RATIO) / MAX_RATIO) * (WIDTH - NAME_WIDTH - RIGHT_MARGIN);
}

function scale(height: number): Markup[] {
  return TICKS.flatMap((ratio) => [
    element('line', { x1: xOf(ratio), x2: xOf(ratio), y1: HEAD_HEIGHT - 6, y2: height - 6, class: 'line' }),
    text(xOf(ratio), HEAD_HEIGHT - 12, ratio === 1 ? 'kernel DNAT' : String(ratio), {
      class: 'faint',
      'text-anchor': 'middle',
    }),
  ]);
}

function legend(contenders: readonly Contender[]): Markup[] {
  const present = contenders.filter(({ role }) => role !== 'path');
  const peers = present
    .filter(({ role }) => role !== 'own')
    .map(({ id, role }) => ({ id, role, title: titles[id] ?? id }));
  const own = present.some(({ role }) => role === 'own')
    ? [{ id: 'kube-portal', role: 'own' as Role, title: 'kube-portal, its variants' }]
    : [];
  let x = 8;
  return [...own, ...peers].flatMap(({ id, role, title }) => {
    const at = x;
    x += 28 + title.length * 7;
    return [dot(at, 10, role, id), text(at + 11, 14.5, title)];
  });
}

const titles: Readonly<Record<string, string>> = {
  haproxy: 'HAProxy',
  nginx: 'nginx stream',
  'nginx-plain': 'nginx, default UDP buffers',
  ancestor: 'kube-proxy 1.20 userspace',
};

function linePlot(title: string, marks: readonly Mark[], y: number): Markup[] {
  const own = marks.filter(({ role }) => role === 'own').map(({ ratio }) => xOf(ratio));
  const band =
    own.length === 0
      ? []
      : [
          element('rect', {
            x: Math.min(...own) - DOT_RADIUS,
            y: y - DOT_RADIUS,
            width: Math.max(...own) - Math.min(...own) + 2 * DOT_RADIUS,
            height: 2 * DOT_RADIUS,
            rx: DOT_RADIUS,
            class: 'own band',
          }),
        ];
  const dots = marks.map(({ role, contender, ratio }) => dot(xOf(ratio), y, role, contender));
  return [text(8, y + 4.5, title), ...band, ...dots];
}

/** Corners of the peers' marks, relative to the centre. All peers have one colour and differ in shape. */
const shapes: Readonly<Record<string, readonly (readonly [x: number, y: number])[]>> = {
  haproxy: [
    [0, -DOT_RADIUS - 1],
    [DOT_RADIUS + 1, 0],
    [0, DOT_RADIUS + 1],
    [-DOT_RADIUS - 1, 0],
  ],
  'nginx-plain': [
    [0, -DOT_RADIUS - 1],
    [DOT_RADIUS + 1, DOT_RADIUS],
    [-DOT_RADIUS - 1, DOT_RADIUS],
  ],
};

function dot(x: number, y: number, role: Role, contender: string): Markup {
  const shape = shapes[contender];
  if (shape === undefined) return element('circle', { cx: x, cy: y, r: DOT_RADIUS, class: role });
  const points = shape.map(([dx, dy]) => `${x + dx},${y + dy}`).join(' ');
  return element('polygon', { points, class: role });
}
