/**
 * A table as kubectl prints it: columns are aligned, with two spaces between them. A cell may have several
 * lines.
 */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, ...rows.flatMap(linesOf)];
  // Not Math.max(...lines): there may be more lines than a call can have arguments.
  const widths = titles.map((_, column) =>
    lines.reduce((width, line) => Math.max(width, line[column]?.length ?? 0), 0),
  );
  return lines.map((line) => `${aligned(line, widths)}\n`).join('');
}

function linesOf(row: readonly string[]): string[][] {
  const cells = row.map((cell) => cell.split('\n'));
  const height = Math.max(...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, line) => cells.map((cell) => cell[line] ?? ''));
}

function aligned(line: readonly string[], widths: readonly number[]): string {
  return widths
    .map((width, column) => (line[column] ?? '').padEnd(width))
    .join('  ')
    .trimEnd();
}

/** The order of rows by a cell. Numbers in it are compared as numbers: 10.0.0.9 comes before 10.0.0.10. */
export const { compare: compareCells } = new Intl.Collator('en', { numeric: true });
