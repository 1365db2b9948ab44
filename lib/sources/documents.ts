import { Composer, Lexer, LineCounter, Parser } from 'yaml';

/** The text of a file between two document markers. */
export interface Chunk {
  readonly text: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
}

/** One document of a chunk: its value as plain JavaScript, or why it can't be read. */
export type Document = { readonly value: unknown } | { readonly error: SyntaxProblem };

export interface SyntaxProblem {
  readonly message: string;
  /** Where in the chunk, from 1; absent where no place can be named. */
  readonly position?: { readonly line: number; readonly column: number };
}

/** A `---` at the start of a line begins a document, even inside an open quote or bracket. */
const DOCUMENT_START = /^---(?=\s|$)/gm;

/**
 * Far beyond any real object. The parser is recursive, and a stack that overflows inside V8's regular
 * expressions aborts the whole process instead of throwing.
 */
const MAX_DEPTH = 100;

/**
 * YAML of this size takes about ten seconds and 1.2 GB to parse on a machine of today: its parser keeps every token. JSON takes
 * a hundredth of that.
 */
const MAX_YAML = 16 << 20;

/** An alias may repeat what it names, but not multiply without end ("billion laughs"). */
const MAX_ALIASES = 100;

/**
 * Cuts a YAML stream before each document marker, so that a syntax error in one document cannot reach another,
 * and an unchanged document need not be parsed again.
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

/** Without a copy of each line: one file may have thousands of Services. */
function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/**
 * Parses a chunk: JSON if it is (much quicker), else YAML 1.2 with merge keys. Usually one document; none if it has
 * only comments before the first marker. Never throws.
 */
export function parseChunk(text: string): Document[] {
  return parseJson(text) ?? parseYaml(text);
}

/** Null where it is no JSON. */
export function parseJson(text: string): Document[] | null {
  const body = text.replace(DOCUMENT_START, '').trimStart();
  if (!body.startsWith('{')) return null;
  try {
    return [{ value: JSON.parse(body) }];
  } catch {
    return null;
  }
}

/** YAML 1.2 with merge keys. Never throws. */
export function parseYaml(text: string): Document[] {
  if (text.length > MAX_YAML) return [{ error: { message: tooLong(text) } }];
  const documents: Document[] = [];
  const lines = new LineCounter();
  try {
    for (const document of composeDocuments(text, lines)) {
      const [error] = document.errors;
      if (error) documents.push({ error: { message: error.message, ...position(lines, error.pos[0]) } });
      else documents.push({ value: document.toJS({ maxAliasCount: MAX_ALIASES }) });
    }
  } catch (error) {
    documents.push({ error: { message: error instanceof Error ? error.message : String(error) } });
  }
  return documents;
}

function tooLong({ length }: string): string {
  const mebibytes = Math.ceil(length / 2 ** 20);
  return `no JSON, and as YAML too long: ${mebibytes} MiB in one document, of which ${MAX_YAML >> 20} are allowed; write JSON (kubectl get -o json), or several documents`;
}

/** The library's own stages one after the other, to watch the depth between them. */
function* composeDocuments(text: string, lines: LineCounter) {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer({ merge: true, logLevel: 'error' });
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) yield* composer.next(token);
    if (parser.stack.length > MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH} levels`);
  }
  for (const token of parser.end()) yield* composer.next(token);
  yield* composer.end();
}

function position(lines: LineCounter, offset: number): Pick<SyntaxProblem, 'position'> {
  const { line, col } = lines.linePos(offset);
  return { position: { line, column: col } };
}
