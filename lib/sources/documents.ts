import { Composer, Lexer, LineCounter, Parser, type ScalarTag } from 'yaml';
import { countLines, DOCUMENT_START, splitObjects } from './splitting.js';

/** One document of a chunk: its value as plain JavaScript, or why it can't be read. */
export type Document = { readonly value: unknown } | { readonly error: SyntaxProblem };

export interface SyntaxProblem {
  readonly message: string;
  /** Where in the chunk, from 1; absent where no place can be named. */
  readonly position?: { readonly line: number; readonly column?: number };
}

/**
 * Far beyond any real object. The parser is recursive, and a stack that overflows inside V8's regular
 * expressions aborts the whole process instead of throwing.
 */
const MAX_DEPTH = 100;

/**
 * YAML of this size takes about ten seconds and 1.2 GB to parse on a machine of today: its parser keeps every
 * token. JSON takes a hundredth of that.
 */
const MAX_YAML = 16 << 20;

/** An alias may repeat what it names, but not multiply without end ("billion laughs"). */
const MAX_ALIASES = 100;

/** `0120` is 80 in YAML 1.1, which kubectl reads (sigs.k8s.io/yaml); YAML 1.2 would make it 120. */
const OLD_OCTAL: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/**
 * Null where it is no JSON, nor several objects of JSON behind each other,
 * as `kubectl get -o json >> file` leaves them.
 */
export function parseJson(text: string): Document[] | null {
  const body = text.replace(DOCUMENT_START, '').trimStart();
  if (!body.startsWith('{')) return null;
  const value = parsedJson(body);
  return value === undefined ? parseJoined(text, text.length - body.length) : [{ value }];
}

/** Undefined where it is no JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseJoined(text: string, begin: number): Document[] | null {
  const parts = splitObjects(text.slice(begin));
  if (parts === null) return null;
  let line = 1 + countLines(text.slice(0, begin));
  return parts.map((part) => {
    const value = parsedJson(part);
    const position = { line };
    line += countLines(part);
    return value === undefined ? { error: { message: NO_JSON, position } } : { value };
  });
}

const NO_JSON =
  'no JSON, though it stands among several objects of JSON; end it, or put --- between documents of YAML';

/** YAML 1.2 with merge keys, and octal numbers as kubectl reads them. Never throws. */
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
  const composer = new Composer({
    merge: true,
    logLevel: 'error',
    customTags: (tags) => [OLD_OCTAL, ...tags],
  });
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
