import { element, type Markup } from '../../lib/markup/markup.js';
import { type Contender, isOwn, type Role } from '../contenders/contender.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { text } from './svg.js';

/** Sizes are pixels. */
const WIDTH = 880;
const NAME_WIDTH = 350;
const RIGHT_MARGIN = 24;
const LINE_HEIGHT = 24;
const LEGEND_LINE_HEIGHT = 20;
/** Height of the numbers above the lines. */
const SCALE_HEIGHT = 26;
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
  const { marks: legend, height: head } = legendOf(contenders);
  const top = head + SCALE_HEIGHT;
  const height = top + lines.length * LINE_HEIGHT + 8;
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
    ...legend,
    ...scale(top, height),
    ...lines.flatMap(({ title, marks }, i) =>
      linePlot(title, marks, top + i * LINE_HEIGHT + LINE_HEIGHT / 2),
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

function scale(top: number, height: number): Markup[] {
  return TICKS.flatMap((ratio) => [
    element('line', { x1: xOf(ratio), x2: xOf(ratio), y1: top - 6, y2: height - 6, class: 'line' }),
    text(xOf(ratio), top - 12, ratio === 1 ? 'kernel DNAT' : String(ratio), {
      class: 'faint',
      'text-anchor': 'middle',
    }),
  ]);
}

/** Names the marks, in as many lines as it takes. */
function legendOf(contenders: readonly Contender[]): { readonly marks: Markup[]; readonly height: number } {
  const marks: Markup[] = [];
  let [x, y] = [8, 10];
  for (const { id, role, title } of legendEntries(contenders)) {
    const width = 28 + title.length * 7;
    if (x + width > WIDTH) [x, y] = [8, y + LEGEND_LINE_HEIGHT];
    marks.push(dot(x, y, role, id), text(x + 11, y + 4.5, title));
    x += width;
  }
  return { marks, height: y + LEGEND_LINE_HEIGHT / 2 };
}

/** One for each contender, kube-portal first. All of kube-portal's with the same role have one. */
function legendEntries(contenders: readonly Contender[]): { id: string; role: Role; title: string }[] {
  const own = contenders.filter(({ role }) => isOwn(role));
  const others = contenders.filter(({ role }) => role !== 'path' && !isOwn(role));
  const entries = [...own, ...others].map(({ id, role }) => ({ id: isOwn(role) ? role : id, role }));
  return [...new Map(entries.map(({ id, role }) => [id, { id, role, title: titles[id] ?? id }])).values()];
}

const titles: Readonly<Record<string, string>> = {
  haproxy: 'HAProxy',
  nginx: 'nginx stream',
  'nginx-plain': 'nginx, default UDP buffers',
  ancestor: 'kube-proxy 1.20 userspace',
  'kube-proxy-iptables': 'kube-proxy iptables',
  'kube-proxy-nftables': 'kube-proxy nftables',
  kernel: 'kube-portal, kernel carrier',
  relay: 'kube-portal, relay',
};

function linePlot(title: string, marks: readonly Mark[], y: number): Markup[] {
  const dots = marks.map(({ role, contender, ratio }) => dot(xOf(ratio), y, role, contender));
  return [text(8, y + 4.5, title), ...band('kernel', marks, y), ...band('relay', marks, y), ...dots];
}

/** Joins the marks of all contenders with the same role. */
function band(role: Role, marks: readonly Mark[], y: number): Markup[] {
  const places = marks.filter((mark) => mark.role === role).map(({ ratio }) => xOf(ratio));
  if (places.length === 0) return [];
  const [first, last] = [Math.min(...places), Math.max(...places)];
  return [
    element('rect', {
      x: first - DOT_RADIUS,
      y: y - DOT_RADIUS,
      width: last - first + 2 * DOT_RADIUS,
      height: 2 * DOT_RADIUS,
      rx: DOT_RADIUS,
      class: `${role} band`,
    }),
  ];
}

const DIAMOND = [
  [0, -DOT_RADIUS - 1],
  [DOT_RADIUS + 1, 0],
  [0, DOT_RADIUS + 1],
  [-DOT_RADIUS - 1, 0],
] as const;

/** Corners of marks, relative to the centre. Contenders with the same colour differ in shape. */
const shapes: Readonly<Record<string, readonly (readonly [x: number, y: number])[]>> = {
  haproxy: DIAMOND,
  'kube-proxy-nftables': DIAMOND,
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
