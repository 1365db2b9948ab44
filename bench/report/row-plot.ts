import { element, type Markup } from '../../lib/markup/markup.js';
import type { Contender, Role } from '../contenders/contender.js';
import { REFERENCES, referenceValue } from '../reference.js';
import type { Figure } from '../rows/figure.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { numberText } from './numbertext.js';
import { text } from './svg.js';

/** Sizes are pixels. */
const WIDTH = 1180;
const NAME_WIDTH = 250;
/** Width of a panel beside the main panel. */
const SIDE_WIDTH = 130;
const PANEL_GAP = 20;
const LINE_HEIGHT = 26;
const BAR_HEIGHT = 15;
const HEAD_HEIGHT = 30;
/** Room to the right of a bar, in the main panel and in the others. */
const MAIN_LABEL = 365;
const SIDE_LABEL = 48;

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

/** Bars for one row: the main figure with its spread and ratios, and the others beside it. */
export function rowPlot(row: Row, summaries: readonly Summary[], contenders: readonly Contender[]): Markup {
  const lines = contenders.flatMap(({ id, title, role }) => {
    const summary = summaries.find((summary) => summary.row === row.id && summary.contender === id);
    return summary === undefined ? [] : [{ title, role, summary }];
  });
  const height = HEAD_HEIGHT + lines.length * LINE_HEIGHT;
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
    const left = WIDTH - (others.length - i) * (SIDE_WIDTH + PANEL_GAP) + PANEL_GAP;
    return { figure, left, width: SIDE_WIDTH - SIDE_LABEL, most: mostOf(figure, lines) };
  });
  const width = WIDTH - NAME_WIDTH - others.length * (SIDE_WIDTH + PANEL_GAP) - MAIN_LABEL;
  return [{ figure: main, left: NAME_WIDTH, width, most: mostOf(main, lines) }, ...sides];
}

function mostOf({ id }: Figure, lines: readonly Line[]): number {
  return Math.max(...lines.map(({ summary }) => summary.spreads[id]?.highest ?? 0));
}

/** @param isMain whether ratios and spreads are shown */
function panelPlot(panel: Panel, lines: readonly Line[], isMain: boolean): Markup[] {
  const { figure, left } = panel;
  const hint = figure.better === 'less' ? ' (less is better)' : '';
  const head = text(left, 14, isMain ? `${figure.title}${hint}` : figure.title, { class: 'faint' });
  const height = HEAD_HEIGHT + lines.length * LINE_HEIGHT;
  const axis = element('line', { x1: left, x2: left, y1: HEAD_HEIGHT - 8, y2: height, class: 'line' });
  return [head, axis, ...lines.flatMap((line, i) => barOf(panel, line, i, isMain ? lines : null))];
}

/** @param all the lines to compare with. Null: no ratio is shown. */
function barOf(panel: Panel, { role, summary }: Line, index: number, all: readonly Line[] | null): Markup[] {
  const { figure, left } = panel;
  const spread = summary.spreads[figure.id];
  if (spread === undefined) return [];
  const x = (value: number) => left + (Math.max(0, value) / panel.most) * panel.width;
  const y = HEAD_HEIGHT + index * LINE_HEIGHT + (LINE_HEIGHT - BAR_HEIGHT) / 2;
  const bar = element('rect', {
    x: left,
    y,
    width: x(spread.median) - left,
    height: BAR_HEIGHT,
    rx: 2,
    class: role,
  });
  const value = element('tspan', { class: 'strong' }, numberText(spread.median));
  const place = { x: x(spread.highest) + 7, y: baseline(index) };
  if (all === null)
    return [bar, element('text', { ...place, x: x(spread.median) + 6 }, numberText(spread.median))];
  const compared = role === 'path' ? '' : ratiosOf(figure, spread.median, all);
  const ratios = element('tspan', { class: 'faint', dx: 8 }, compared);
  return [bar, ...whisker(x(spread.lowest), x(spread.highest), y), element('text', place, value, ratios)];
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

function ratiosOf(figure: Figure, median: number, lines: readonly Line[]): string {
  const summaries = lines.map(({ summary }) => summary);
  const ratios = REFERENCES.flatMap((reference) => {
    const value = referenceValue(reference, figure, summaries);
    return value ? [`×${(median / value).toFixed(2)} ${reference.title}`] : [];
  });
  return ratios.join(' · ');
}

function baseline(index: number): number {
  return HEAD_HEIGHT + index * LINE_HEIGHT + LINE_HEIGHT / 2 + 4.5;
}
