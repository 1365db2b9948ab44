import { item } from '../../test/lab/items.js';
import type { Contender } from '../contenders/contender.js';
import { REFERENCES, referenceValue } from '../reference.js';
import type { Figure } from '../rows/figure.js';
import type { Row } from '../rows/row.js';
import type { Summary } from '../summary.js';
import { numberText } from './numbertext.js';

type Column = readonly [title: string, cell: (summary: Summary) => string];

/**
 * A table for each row: medians, spread, ratios to others, and the cores that other programs used meanwhile.
 */
export function table(
  summaries: readonly Summary[],
  rows: readonly Row[],
  contenders: readonly Contender[],
): string {
  const sections = rows.flatMap((row) => {
    const ofRow = contenders.flatMap(
      ({ id }) => summaries.find((summary) => summary.row === row.id && summary.contender === id) ?? [],
    );
    return ofRow.length === 0 ? [] : `${row.title}\n${align(rowTable(row, ofRow, contenders))}`;
  });
  return sections.join('\n');
}

function rowTable(row: Row, summaries: readonly Summary[], contenders: readonly Contender[]): string[][] {
  const columns: Column[] = [
    ['', ({ contender }) => contenders.find(({ id }) => id === contender)?.title ?? contender],
    ...row.figures.flatMap((figure, index) => figureColumns(figure, summaries, index === 0)),
    ['others use', ({ disturbance }) => disturbance.toFixed(2)],
  ];
  return [
    columns.map(([title]) => title),
    ...summaries.map((summary) => columns.map(([, cell]) => cell(summary))),
  ];
}

/** @param isMain whether spread and all ratios are shown too */
function figureColumns(figure: Figure, summaries: readonly Summary[], isMain: boolean): Column[] {
  const column = (title: string, pick: 'median' | 'lowest' | 'highest'): Column => [
    title,
    ({ spreads: { [figure.id]: spread } }) => (spread === undefined ? '-' : numberText(spread[pick])),
  ];
  if (!isMain) return [column(figure.title, 'median')];
  return [
    column(figure.title, 'median'),
    column('lowest', 'lowest'),
    column('highest', 'highest'),
    ...ratioColumns(figure, summaries),
  ];
}

function ratioColumns(figure: Figure, summaries: readonly Summary[]): Column[] {
  return REFERENCES.flatMap((reference) => {
    const value = referenceValue(reference, figure, summaries);
    if (!value) return [];
    const cell = ({ spreads: { [figure.id]: spread } }: Summary) =>
      spread === undefined ? '-' : (spread.median / value).toFixed(2);
    return [[`× ${reference.title}`, cell] as const];
  });
}

/** Aligns the first column to the left and numbers to the right. */
function align(lines: readonly string[][]): string {
  const widths = item(lines, 0).map((_, column) =>
    Math.max(...lines.map((line) => item(line, column).length)),
  );
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(item(widths, column)) : text.padStart(item(widths, column));
  return lines.map((line) => `  ${line.map(cell).join('  ')}\n`).join('');
}
