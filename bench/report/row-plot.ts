import { element, type Markup } from '../../lib/markup/markup.js';
import { type Contender, isOwn, type Role } from '../contenders/contender.js';
import { REFERENCES, referenceValue } from '../reference.js';
import type { Figure } from '../rows/figure.js';
import type { Row } from '../rows/row.js';
import type { Spread, Summary } from '../summary.js';
import { numberText } from './numbertext.js';
import { text } from './svg.js';

/** Sizes are pixels. */
const WIDTH = 1280;
const NAME_WIDTH = 270;
/** Width of a panel beside the main panel. */
const SIDE_WIDTH = 110;
const PANEL_GAP = 20;
const LINE_HEIGHT = 26;
const BAR_HEIGHT = 15;
const HEAD_HEIGHT = 30;
/** Room to the right of a bar, in the main panel and in the others. */
const MAIN_LABEL = 80;
const SIDE_LABEL = 48;
/** Width of a column with ratios. */
const RATIO_WIDTH = 96;

interface Line {
  readonly title: string;
  readonly role: Role;
  readonly summary: Summary;
}

/** The place of the bars of one figure. */
interface Panel {
  readonly figure: Figure;
  readonly left: number;
  /** Length of the longest bar. */
  readonly width: number;
  /** Value of the longest bar. */
  readonly most: number;
}

/** A column of ratios between a panel's figure and that of a reference. */
interface Ratios {
  readonly title: string;
  readonly right: number;
  /** The reference's value. */
  readonly value: number;
}

/** Bars for one row: the main figure with its spread and ratios, and the others beside it. */
export function rowPlot(row: Row, summaries: readonly Summary[], contenders: readonly Contender[]): Markup {
  const lines = contenders.flatMap(({ id, title, role }) => {
    const summary = summaries.find((summary) => summary.row === row.id && summary.contender === id);
    return summary === undefined ? [] : [{ title, role, summary }];
  });
  const height = HEAD_HEIGHT + lines.length * LINE_HEIGHT;
  const names = lines.map(({ title, role }, i) =>
    text(0, baseline(i), title, isOwn(role) ? { class: 'strong' } : {}),
  );
  const [main, ...sides] = panelsOf(row, lines);
  const bars = [
    ...(main === undefined ? [] : mainPlot(main, lines)),
    ...sides.flatMap((panel) => panelPlot(panel, panel.figure.title, lines, sideLabel)),
  ];
  const attributes = { viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, role: 'img' };
  return element('svg', attributes, element('title', {}, row.title), ...names, ...bars);
}

function panelsOf({ figures }: Row, lines: readonly Line[]): Panel[] {
  const [main, ...others] = figures.filter(
    ({ id }) => id !== 'lost' && lines.some(({ summary }) => id in summary.spreads),
  );
  if (main === undefined) return [];
  const sides = others.map((figure, i) => {
    const left = WIDTH - (others.length - i) * (SIDE_WIDTH + PANEL_GAP) + PANEL_GAP;
    return { figure, left, width: SIDE_WIDTH - SIDE_LABEL, most: mostOf(figure, lines) };
  });
  const columns = referencesOf(main, lines).length * RATIO_WIDTH;
  const width = WIDTH - NAME_WIDTH - MAIN_LABEL - columns - others.length * (SIDE_WIDTH + PANEL_GAP);
  return [{ figure: main, left: NAME_WIDTH, width, most: mostOf(main, lines) }, ...sides];
}

function mostOf({ id }: Figure, lines: readonly Line[]): number {
  return Math.max(...lines.map(({ summary }) => summary.spreads[id]?.highest ?? 0));
}

/** Bars with whiskers, and columns of ratios. */
function mainPlot(panel: Panel, lines: readonly Line[]): Markup[] {
  const { figure, left, width } = panel;
  const hint = figure.better === 'less' ? ' (less is better)' : '';
  const columns = referencesOf(figure, lines).map(
    ({ title, value }, i): Ratios => ({
      title,
      right: left + width + MAIN_LABEL + (i + 1) * RATIO_WIDTH - PANEL_GAP / 2,
      value,
    }),
  );
  const end = { class: 'faint', 'text-anchor': 'end' };
  return [
    ...panelPlot(panel, `${figure.title}${hint}`, lines, mainLabel),
    ...columns.map(({ title, right }) => text(right, 14, `× ${title}`, end)),
    ...lines.flatMap(({ role, summary }, i) => {
      const spread = summary.spreads[figure.id];
      if (spread === undefined || role === 'path') return [];
      return columns.map(({ right, value }) =>
        text(right, baseline(i), (spread.median / value).toFixed(2), { 'text-anchor': 'end' }),
      );
    }),
  ];
}

/** The references that have the figure, with their values. */
function referencesOf(figure: Figure, lines: readonly Line[]): { title: string; value: number }[] {
  const summaries = lines.map(({ summary }) => summary);
  return REFERENCES.flatMap((reference) => {
    const value = referenceValue(reference, figure, summaries);
    return value ? [{ title: reference.title, value }] : [];
  });
}

/** What stands beside a bar. @param x the place of a value on the panel's scale */
type Label = (spread: Spread, x: (value: number) => number, index: number) => Markup[];

/** The median, behind a whisker from the lowest to the highest value. */
const mainLabel: Label = ({ lowest, median, highest }, x, index) => [
  ...whisker(x(lowest), x(highest), topOf(index)),
  text(x(highest) + 7, baseline(index), numberText(median), { class: 'strong' }),
];

const sideLabel: Label = ({ median }, x, index) => [text(x(median) + 6, baseline(index), numberText(median))];

function panelPlot(panel: Panel, title: string, lines: readonly Line[], label: Label): Markup[] {
  const { figure, left, width, most } = panel;
  const x = (value: number) => left + (Math.max(0, value) / most) * width;
  const height = HEAD_HEIGHT + lines.length * LINE_HEIGHT;
  const axis = element('line', { x1: left, x2: left, y1: HEAD_HEIGHT - 8, y2: height, class: 'line' });
  const bars = lines.flatMap(({ role, summary }, index) => {
    const spread = summary.spreads[figure.id];
    if (spread === undefined) return [];
    const length = x(spread.median) - left;
    const bar = { x: left, y: topOf(index), width: length, height: BAR_HEIGHT, rx: 2, class: role };
    return [element('rect', bar), ...label(spread, x, index)];
  });
  return [text(left, 14, title, { class: 'faint' }), axis, ...bars];
}

function topOf(index: number): number {
  return HEAD_HEIGHT + index * LINE_HEIGHT + (LINE_HEIGHT - BAR_HEIGHT) / 2;
}

function whisker(from: number, to: number, y: number): Markup[] {
  const middle = y + BAR_HEIGHT / 2;
  const end = (x: number) =>
    element('line', { x1: x, x2: x, y1: middle - 4, y2: middle + 4, class: 'whisker' });
  return [
    element('line', { x1: from, x2: to, y1: middle, y2: middle, class: 'whisker' }),
    end(from),
    end(to),
  ];
}

function baseline(index: number): number {
  return HEAD_HEIGHT + index * LINE_HEIGHT + LINE_HEIGHT / 2 + 4.5;
}
