import { Composer, Lexer, LineCounter, Parser, type ScalarTag } from 'yaml';
import { countLines, DOCUMENT_START, splitObjects } from './splitting.js';

/** One document of a chunk: its value as a plain JavaScript value, or the reason why it cannot be parsed. */
export type Document = { readonly value: unknown } | { readonly error: SyntaxProblem };

export interface SyntaxProblem {
  readonly message: string;
  /** Position in the chunk. Lines and columns count from 1. Absent if the position is not known. */
  readonly position?: { readonly line: number; readonly column?: number };
}

/**
 * Levels of nested YAML. Real objects have far fewer. The parser is recursive, and a stack overflow inside
 * V8's regular expressions aborts the process instead of throwing an error.
 */
const MAX_DEPTH = 100;

/**
 * Characters of one YAML document. Parsing this much takes about ten seconds and 1.2 GB on a fast PC,
 * because the parser keeps every token. JSON takes a hundredth of that.
 */
const MAX_YAML = 16 << 20;

/** Uses of an alias. Nested aliases can multiply the size of a document ("billion laughs"). */
const MAX_ALIASES = 100;

/** `0120` is 80 in YAML 1.1, which kubectl reads (sigs.k8s.io/yaml), and 120 in YAML 1.2. */
const OLD_OCTAL: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

/**
 * Parses one JSON object, or several JSON objects one after the other as `kubectl get -o json >> file` makes
 * them. Null if the text is neither.
 */
export function parseJson(text: string): Document[] | null {
  const body = text.replace(DOCUMENT_START, '').trimStart();
  if (!body.startsWith('{')) return null;
  const value = parsedJson(body);
  return value === undefined ? parseJoined(text, text.length - body.length) : [{ value }];
}

/** Undefined if the text is not JSON. */
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
  'this is not valid JSON, and JSON objects are beside it; correct it, or put --- between YAML documents';

/** Parses YAML 1.2 with merge keys, and with octal numbers as kubectl reads them. Never throws. */
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
  return (
    `not JSON, and too long for YAML: the document has ${mebibytes} MiB, and ${MAX_YAML >> 20} MiB are ` +
    'allowed; write JSON (kubectl get -o json), or several documents'
  );
}

/** Runs the library's lexer, parser and composer one by one, to check the depth of nesting between them. */
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
