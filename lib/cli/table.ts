/**
 * A table as kubectl prints it: columns are aligned, with two spaces between them. A cell may have several
 * lines.
 */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, ...rows.flatMap(linesOf)];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
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
