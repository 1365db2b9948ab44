import type { Contender, Role } from '../contenders/contender.js';
import { REFERENCES, referenceValue } from '../reference.js';
import type { Figure } from '../rows/figure.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { show } from './number.js';
import { element, text } from './svg.js';

const WIDTH = 1180;
const NAMES = 250;
/** Of a panel beside the main one. */
const SIDE = 130;
const GAP = 20;
const LINE = 26;
const BAR = 15;
const HEAD = 30;
/** Right of a bar in the main panel, and in the others. */
const MAIN_LABEL = 365;
const SIDE_LABEL = 48;

interface Line {
  readonly title: string;
  readonly role: Role;
  readonly summary: Summary;
}

/** Where the bars of one figure are. */
interface Panel {
  readonly figure: Figure;
  readonly left: number;
  /** Of the longest bar. */
  readonly width: number;
  /** Value of the longest bar. */
  readonly most: number;
}

/** Bars for one row: the main figure with its spread and ratios, and the others beside it. */
export function rowPlot(row: Row, summaries: readonly Summary[], contenders: readonly Contender[]): string {
  const lines = contenders.flatMap(({ id, title, role }) => {
    const summary = summaries.find((summary) => summary.row === row.id && summary.contender === id);
    return summary === undefined ? [] : [{ title, role, summary }];
  });
  const height = HEAD + lines.length * LINE;
  const names = lines.map(({ title, role }, i) =>
    text(0, baseline(i), title, role === 'own' ? { class: 'strong' } : {}),
  );
  const bars = panelsOf(row, lines).flatMap((panel, i) => panelPlot(panel, lines, i === 0));
  const attributes = { viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, role: 'img' };
  return element('svg', attributes, element('title', {}, row.title), ...names, ...bars);
}

function panelsOf({ figures }: Row, lines: readonly Line[]): Panel[] {
  const [main, ...others] = figures.filter(
    ({ id }) => id !== 'lost' && lines.some(({ summary }) => id in summary.spreads),
  );
  if (main === undefined) return [];
  const sides = others.map((figure, i) => {
    const left = WIDTH - (others.length - i) * (SIDE + GAP) + GAP;
    return { figure, left, width: SIDE - SIDE_LABEL, most: mostOf(figure, lines) };
  });
  const width = WIDTH - NAMES - others.length * (SIDE + GAP) - MAIN_LABEL;
  return [{ figure: main, left: NAMES, width, most: mostOf(main, lines) }, ...sides];
}

function mostOf({ id }: Figure, lines: readonly Line[]): number {
  return Math.max(...lines.map(({ summary }) => summary.spreads[id]?.highest ?? 0));
}

/** @param isMain whether ratios and spreads are shown */
function panelPlot(panel: Panel, lines: readonly Line[], isMain: boolean): string[] {
  const { figure, left } = panel;
  const hint = figure.better === 'less' ? ' (less is better)' : '';
  const head = text(left, 14, isMain ? `${figure.title}${hint}` : figure.title, { class: 'faint' });
  const height = HEAD + lines.length * LINE;
  const axis = element('line', { x1: left, x2: left, y1: HEAD - 8, y2: height, class: 'line' });
  return [head, axis, ...lines.flatMap((line, i) => barOf(panel, line, i, isMain ? lines : null))];
}

/** @param all the lines that ratios are made of; null where none are shown */
function barOf(panel: Panel, { role, summary }: Line, index: number, all: readonly Line[] | null): string[] {
  const { figure, left } = panel;
  const spread = summary.spreads[figure.id];
  if (spread === undefined) return [];
  const x = (value: number) => left + (Math.max(0, value) / panel.most) * panel.width;
  const y = HEAD + index * LINE + (LINE - BAR) / 2;
  const bar = element('rect', {
    x: left,
    y,
    width: x(spread.median) - left,
    height: BAR,
    rx: 2,
    class: role,
  });
  const value = element('tspan', { class: 'strong' }, show(spread.median));
  const place = { x: x(spread.highest) + 7, y: baseline(index) };
  if (all === null) return [bar, element('text', { ...place, x: x(spread.median) + 6 }, show(spread.median))];
  const compared = role === 'path' ? '' : ratiosOf(figure, spread.median, all);
  const ratios = element('tspan', { class: 'faint', dx: 8 }, compared);
  return [bar, ...whisker(x(spread.lowest), x(spread.highest), y), element('text', place, value, ratios)];
}

function whisker(from: number, to: number, y: number): string[] {
  const middle = y + BAR / 2;
  const end = (x: number) =>
    element('line', { x1: x, x2: x, y1: middle - 4, y2: middle + 4, class: 'whisker' });
  return [
    element('line', { x1: from, x2: to, y1: middle, y2: middle, class: 'whisker' }),
    end(from),
    end(to),
  ];
}

function ratiosOf(figure: Figure, median: number, lines: readonly Line[]): string {
  const summaries = lines.map(({ summary }) => summary);
  const ratios = REFERENCES.flatMap((reference) => {
    const value = referenceValue(reference, figure, summaries);
    return value ? [`×${(median / value).toFixed(2)} ${reference.title}`] : [];
  });
  return ratios.join(' · ');
}

function baseline(index: number): number {
  return HEAD + index * LINE + LINE / 2 + 4.5;
}
