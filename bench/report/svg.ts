type Attributes = Readonly<Record<string, string | number>>;

/** An XML element. Children must be markup, see {@link text}. Numbers are rounded to one decimal. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const pairs = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${escapeMarkup(attribute(value))}"`,
  );
  return `<${name}${pairs.join('')}>${children.join('')}</${name}>`;
}

/** A line of text. */
export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escapeMarkup(content));
}

export function escapeMarkup(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function attribute(value: string | number): string {
  return typeof value === 'number' ? String(Math.round(value * 10) / 10) : value;
}
