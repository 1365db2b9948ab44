/** Bytes. The kernel's own limit for a path. Ordinary text in a log line is shorter. */
const MAX_LINE_BYTES = 4096;

/**
 * Characters that change how a terminal or a log viewer shows a text: control characters, line separators,
 * marks that change the direction of the text, and halves of surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * Makes text from outside safe to show in one line. Unprintable characters are escaped as in JSON. A text
 * that is too long is cut, and a mark tells how many characters are missing.
 *
 * @param maxBytes of the result in UTF-8, the mark included; at least 64
 */
export function printable(text: string, maxBytes = MAX_LINE_BYTES): string {
  // Each character takes at least one byte, so later characters cannot fit.
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
  // JSON has an escape for some of them and leaves the others unchanged.
  const inJson = JSON.stringify(character).slice(1, -1);
  return inJson === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : inJson;
}
