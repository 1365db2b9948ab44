import { type Attributes, type Content, element, type Markup } from '../../markup/markup.js';

/** The title of a column, or the title of a column of numbers, which stand to the right. */
export type Column = string | { readonly number: string };

/** A cell: its content, or several pieces of content. */
export type Cell = Content | readonly Content[];

/** Rows that are shown at once. The others can be unfolded. */
const ROWS_AT_ONCE = 20;
const MOST_ROWS = 5000;

export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): Markup {
  const head = columns.map((column) =>
    element('th', { scope: 'col', ...classOf(column) }, typeof column === 'string' ? column : column.number),
  );
  const body = rows.map((cells) => {
    const made = cells.map((cell, index) => element('td', classOf(columns[index]), ...contentOf(cell)));
    return element('tr', {}, ...made);
  });
  const parts = [element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...body)];
  return element('div', { class: 'scroll' }, element('table', {}, ...parts));
}

function classOf(column: Column | undefined): Attributes {
  return typeof column === 'object' ? { class: 'number' } : {};
}

function contentOf(cell: Cell): readonly Content[] {
  return Array.isArray(cell) ? cell : [cell as Content];
}

/**
 * A table whose first rows are shown, and whose others can be unfolded. What is too much for a browser is
 * left out, and the page says so.
 * @param what the rows are
 */
export function longTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  what: string,
): Markup[] {
  const others = rows.slice(ROWS_AT_ONCE, MOST_ROWS);
  const first = table(columns, rows.slice(0, ROWS_AT_ONCE));
  if (others.length === 0) return [first];
  const rest = folded(`${others.length} more ${what}`, table(columns, others));
  if (rows.length <= MOST_ROWS) return [first, rest];
  const left = `${rows.length - MOST_ROWS} more ${what} are left out. -o json has all.`;
  return [first, rest, element('p', { class: 'faint' }, left)];
}

/** What is shown when the reader asks for it, and in print. */
export function folded(summary: string, ...content: readonly Content[]): Markup {
  return element('details', {}, element('summary', {}, summary), ...content);
}
