/** Names of elements of HTML or SVG without an end, or without a beginning. */
export function unbalanced(markup: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  const tags = markup.replace(/<style>.*?<\/style>|<meta [^>]*>|<!doctype html>/gs, '');
  for (const [, slash, name = ''] of tags.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s+[\w:-]+="[^"<>]*")*>/gi)) {
    if (slash === '') open.push(name);
    else if (open.pop() !== name) wrong.push(name);
  }
  return [...open, ...wrong];
}

/** How often a text occurs in another one. */
export function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}
