/** The text of a file from one document marker to the next. */
export interface Chunk {
  readonly text: string;
  /** Lines of the file before the chunk. */
  readonly linesBefore: number;
}

/** `---` at the start of a line begins a document, even inside an open quote or bracket. */
export const DOCUMENT_START = /^---(?=\s|$)/gm;

/**
 * Cuts a YAML stream before each document marker. So a syntax error affects only its own document, and only
 * changed documents are parsed again.
 */
export function splitDocuments(text: string): Chunk[] {
  const starts = [...text.matchAll(DOCUMENT_START)].map((match) => match.index);
  const chunks: Chunk[] = [];
  let begin = 0;
  let linesBefore = 0;
  for (const end of [...starts, text.length]) {
    if (end === begin) continue;
    const part = text.slice(begin, end);
    chunks.push({ text: part, linesBefore });
    linesBefore += countLines(part);
    begin = end;
  }
  return chunks;
}

/** Makes no copies of the lines, because a file may have thousands of Services. */
export function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/**
 * Cuts a text into JSON objects with only space between them. Null if there is only one object, or anything
 * else between them; the text may then be YAML. The last part may be an incomplete object.
 */
export function splitObjects(text: string): string[] | null {
  const parts: string[] = [];
  for (let begin = 0; begin < text.length; ) {
    if (text[begin] !== '{') return null;
    const end = endOfSpace(text, endOfObject(text, begin));
    parts.push(text.slice(begin, end));
    begin = end;
  }
  return parts.length > 1 ? parts : null;
}

/** The index after the brace that closes the brace at `begin`. The end of the text if no brace closes it. */
function endOfObject(text: string, begin: number): number {
  let depth = 0;
  let isQuoted = false;
  for (let at = begin; at < text.length; at++) {
    const character = text[at];
    if (character === '"') isQuoted = !isQuoted;
    else if (isQuoted && character === '\\') at++;
    else if (!isQuoted && character === '{') depth++;
    else if (!isQuoted && character === '}' && --depth === 0) return at + 1;
  }
  return text.length;
}

function endOfSpace(text: string, begin: number): number {
  let end = begin;
  while (end < text.length && text.charAt(end).trim() === '') end++;
  return end;
}
