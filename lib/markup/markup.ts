/** Text that is HTML or SVG already. A plain string is not: {@link element} escapes it. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What an element can hold. */
export type Content = Markup | string;

export type Attributes = Readonly<Record<string, string | number>>;

/** An element of HTML or SVG. Strings are escaped. Numbers are rounded to one decimal. */
export function element(name: string, attributes: Attributes, ...children: readonly Content[]): Markup {
  const pairs = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${escaped(attributeText(value))}"`,
  );
  const content = children.map((child) => (child instanceof Markup ? child : escaped(child)));
  return new Markup(`<${name}${pairs.join('')}>${content.join('')}</${name}>`);
}

function escaped(text: string): string {
  // What was read from JSON may be no string, whatever its type says.
  return String(text).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function attributeText(value: string | number): string {
  return typeof value === 'number' ? String(Math.round(value * 10) / 10) : value;
}
