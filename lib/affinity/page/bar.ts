import { element, type Markup } from '../../markup/markup.js';

/** A bar as wide as its cell allows. @param even where a mark stands */
export function bar(value: number, most: number, { even, colour = 'plain' }: BarOptions = {}): Markup {
  const x = (of: number) => (most > 0 ? (of / most) * 100 : 0);
  const box = { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' };
  const mark =
    even === undefined ? [] : [element('line', { x1: x(even), x2: x(even), y1: 0, y2: 10, class: 'mark' })];
  const rect = element('rect', { x: 0, y: 2, width: x(value), height: 6, class: colour });
  return element('svg', box, rect, ...mark);
}

export interface BarOptions {
  readonly even?: number;
  /** CSS class. */
  readonly colour?: string;
}
