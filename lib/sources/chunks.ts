import { createHash } from 'node:crypto';
import { type Document, parseJson, parseYaml, type SyntaxProblem } from './documents.js';
import { type ReadItem, readObjects } from './manifest-objects.js';
import { splitDocuments } from './splitting.js';

/** A parsed document. Its position in the file is not known yet. */
export type ReadDocument = { readonly items: readonly ReadItem[] } | { readonly error: SyntaxProblem };

/** A parsed chunk of a file. */
export interface ReadChunk {
  /** Hash of the chunk's text. */
  readonly hash: string;
  /** Lines of the file before the chunk. */
  readonly linesBefore: number;
  /** Null: a chunk with this hash was parsed before. */
  readonly documents: readonly ReadDocument[] | null;
}

/** Hashes of chunks that were parsed before. */
export type KnownChunks = Pick<ReadonlySet<string>, 'has'>;

/** A text has more YAML than this thread may parse. */
export class TooMuchYaml extends Error {}

/**
 * Parses the text of a file chunk by chunk. An empty file has no chunks. A chunk that occurs twice is parsed
 * once.
 *
 * @param maxYaml characters of YAML that are parsed at most. JSON and known chunks do not count.
 * @throws TooMuchYaml if the text has more
 */
export function* readChunks(
  text: string,
  known: KnownChunks,
  maxYaml = Number.POSITIVE_INFINITY,
): Generator<ReadChunk> {
  if (text.trim() === '') return;
  const seen = new Set<string>();
  let yamlLength = 0;
  for (const { text: chunk, linesBefore } of splitDocuments(text)) {
    const hash = createHash('sha1').update(chunk).digest('base64');
    if (seen.has(hash) || known.has(hash)) {
      yield { hash, linesBefore, documents: null };
      continue;
    }
    seen.add(hash);
    const json = parseJson(chunk);
    if (json === null) yamlLength += chunk.length;
    if (yamlLength > maxYaml) throw new TooMuchYaml();
    yield { hash, linesBefore, documents: (json ?? parseYaml(chunk)).map(readDocument) };
  }
}

function readDocument(document: Document): ReadDocument {
  return 'error' in document ? document : { items: readObjects(document.value) };
}
