import { type Content, element, type Markup } from '../../markup/markup.js';

/** A cell: its content, or several pieces of content. */
export type Cell = Content | readonly Content[];

/** Rows that are shown at once. The others can be unfolded. */
const ROWS_AT_ONCE = 20;

/** A table. @param titles of columns. Columns of numbers have a `#` before their titles. */
export function table(titles: readonly string[], rows: readonly (readonly Cell[])[]): Markup {
  const classes = titles.map((title): Record<string, string> => (title.startsWith('#') ? NUMBER : {}));
  const head = titles.map((title, column) =>
    element('th', { scope: 'col', ...classes[column] }, title.replace('#', '')),
  );
  const body = rows.map((cells) =>
    element(
      'tr',
      {},
      ...cells.map((cell, column) => element('td', classes[column] ?? {}, ...contentOf(cell))),
    ),
  );
  const parts = [element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...body)];
  return element('div', { class: 'scroll' }, element('table', {}, ...parts));
}

const NUMBER = { class: 'number' };

function contentOf(cell: Cell): readonly Content[] {
  return Array.isArray(cell) ? cell : [cell as Content];
}

/** A table whose first rows are shown, and whose others can be unfolded. @param what the rows are */
export function longTable(
  titles: readonly string[],
  rows: readonly (readonly Cell[])[],
  what: string,
): Markup[] {
  const others = rows.slice(ROWS_AT_ONCE);
  const first = table(titles, rows.slice(0, ROWS_AT_ONCE));
  if (others.length === 0) return [first];
  return [first, folded(`${others.length} more ${what}`, table(titles, others))];
}

/** What is shown when the reader asks for it, and in print. */
export function folded(summary: string, ...content: readonly Content[]): Markup {
  return element('details', {}, element('summary', {}, summary), ...content);
}
