import { type Attributes, element, type Markup } from '../../lib/markup/markup.js';

/** A line of text in an SVG. */
export function text(x: number, y: number, content: string, attributes: Attributes = {}): Markup {
  return element('text', { x, y, ...attributes }, content);
}
