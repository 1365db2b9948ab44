import type { Contender } from './contenders.js';
import type { Row, Unit } from './rows.js';
import type { Summary } from './summary.js';

/** Whose rates the others are divided by. */
const REFERENCES = ['kernel', 'nginx', 'haproxy'] as const;

/** A table for each row: rates, their spread, ratios, costs, and the cores that other programs took meanwhile. */
export function report(
  summaries: readonly Summary[],
  rows: readonly Row[],
  contenders: readonly Contender[],
): string {
  const sections = rows.map((row) => {
    const ofRow = summaries.filter((summary) => summary.row === row.id);
    return `${row.title}\n${align(rowTable(row, ofRow, contenders))}`;
  });
  return sections.join('\n');
}

function rowTable(
  { unit }: Row,
  summaries: readonly Summary[],
  contenders: readonly Contender[],
): string[][] {
  const references = REFERENCES.flatMap((id) => summaries.find((summary) => summary.contender === id) ?? []);
  const titles = ['', unit.rate, 'lowest', 'highest', ...references.map(({ contender }) => `x ${contender}`)];
  const lines = contenders.flatMap(({ id, title }) => {
    const summary = summaries.find(({ contender }) => contender === id);
    if (summary === undefined) return [];
    const ratios = references.map((reference) => (summary.median / reference.median).toFixed(2));
    const rates = [summary.median, summary.lowest, summary.highest].map(unit.show);
    return [
      [
        title,
        ...rates,
        ...ratios,
        cost(unit, summary),
        String(summary.losses),
        summary.disturbance.toFixed(2),
      ],
    ];
  });
  return [[...titles, unit.cost, 'lost', 'others use'], ...lines];
}

function cost({ costFor }: Unit, { cpuPerUnit }: Summary): string {
  return cpuPerUnit === null ? '-' : (cpuPerUnit * costFor).toFixed(2);
}

/** The first column to the left, numbers to the right. */
function align(lines: readonly string[][]): string {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  return lines.map((line) => `  ${line.map(cell).join('  ')}\n`).join('');
}
