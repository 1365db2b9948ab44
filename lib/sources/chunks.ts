import { createHash } from 'node:crypto';
import { type Document, parseJson, parseYaml, type SyntaxProblem } from './documents.js';
import { type ReadItem, readObjects } from './manifest-objects.js';
import { splitDocuments } from './splitting.js';

/** A document before its place in the file is known. */
export type ReadDocument = { readonly items: readonly ReadItem[] } | { readonly error: SyntaxProblem };

/** What a chunk of a file came to. */
export interface ReadChunk {
  /** Of its text. */
  readonly hash: string;
  /** Lines of the file before it. */
  readonly linesBefore: number;
  /** Null where a chunk of this hash was read before. */
  readonly documents: readonly ReadDocument[] | null;
}

/** Hashes of chunks that need not be read again. */
export type KnownChunks = Pick<ReadonlySet<string>, 'has'>;

/** The text would take too long where others wait. */
export class SlowText extends Error {}

/**
 * Reads the text of a file chunk by chunk; an empty one has none. A chunk that occurs twice is read once.
 *
 * @param maxYaml characters of YAML to parse at most; JSON, and what is known, does not count
 * @throws SlowText where there is more
 */
export function* readChunks(
  text: string,
  known: KnownChunks,
  maxYaml = Number.POSITIVE_INFINITY,
): Generator<ReadChunk> {
  if (text.trim() === '') return;
  const seen = new Set<string>();
  let yaml = 0;
  for (const { text: chunk, linesBefore } of splitDocuments(text)) {
    const hash = createHash('sha1').update(chunk).digest('base64');
    if (seen.has(hash) || known.has(hash)) {
      yield { hash, linesBefore, documents: null };
      continue;
    }
    seen.add(hash);
    const json = parseJson(chunk);
    if (json === null) yaml += chunk.length;
    if (yaml > maxYaml) throw new SlowText();
    yield { hash, linesBefore, documents: (json ?? parseYaml(chunk)).map(read) };
  }
}

function read(document: Document): ReadDocument {
  return 'error' in document ? document : { items: readObjects(document.value) };
}
