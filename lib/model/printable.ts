/** The kernel's own limit for a path, and more than anything honest that a line tells. */
const LINE_BYTES = 4096;

/**
 * What a terminal or a log viewer acts upon and does not show: control characters, line separators, marks
 * that turn the direction of the text, and halves of surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Makes text from outside fit for one line that people read. What cannot be shown is escaped as in JSON. What
 * is too long is cut, with a mark that tells how much is missing.
 *
 * @param maxBytes of the result in UTF-8, the mark included; at least 64
 */
export function printable(text: string, maxBytes = LINE_BYTES): string {
  // A character takes a byte or more: no more of it can be needed, whatever the length.
  const beginning = text.slice(0, maxBytes + 1).replace(UNPRINTABLE, escaped);
  if (text.length <= maxBytes && Buffer.byteLength(beginning) <= maxBytes) return beginning;
  return cut(text, maxBytes);
}

function cut(text: string, maxBytes: number): string {
  const room = maxBytes - mark(text.length).length;
  let shown = '';
  let bytes = 0;
  let taken = 0;
  for (const character of text) {
    const piece = character.replace(UNPRINTABLE, escaped);
    bytes += Buffer.byteLength(piece);
    if (bytes > room) break;
    shown += piece;
    taken += character.length;
  }
  return `${shown}${mark(text.length - taken)}`;
}

function mark(missing: number): string {
  return `... (${missing} more characters)`;
}

function escaped(character: string): string {
  // JSON's own way where it has one; it lets the rest pass.
  const inJson = JSON.stringify(character).slice(1, -1);
  return inJson === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : inJson;
}
