import type { ReadChunk, ReadDocument } from './chunks.js';
import type { Finding } from './manifest-objects.js';

/** So many documents or findings at a time are some milliseconds' work to take in. */
const BATCH = 1000;

/** A piece of what a file came to, small enough to be sent while others wait. */
export type Part =
  | { readonly chunk: Omit<ReadChunk, 'documents'>; readonly isKnown: boolean }
  | { readonly document: ReadDocument }
  /** More findings of the document before. */
  | { readonly more: readonly Finding[] };

/** Cuts what a file came to into batches of parts. */
export function* batchesOf(chunks: Iterable<ReadChunk>): Generator<readonly Part[]> {
  let batch: Part[] = [];
  let size = 0;
  for (const part of partsOf(chunks)) {
    batch.push(part);
    size += 'more' in part ? part.more.length : 1;
    if (size < BATCH) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  yield batch;
}

function* partsOf(chunks: Iterable<ReadChunk>): Generator<Part> {
  for (const { documents, ...chunk } of chunks) {
    yield { chunk, isKnown: documents === null };
    for (const document of documents ?? []) {
      if ('error' in document) {
        yield { document };
        continue;
      }
      yield { document: { findings: [] } };
      const { findings } = document;
      for (let at = 0; at < findings.length; at += BATCH) yield { more: findings.slice(at, at + BATCH) };
    }
  }
}

/** Puts parts together again. */
export class Assembly {
  readonly chunks: ReadChunk[] = [];
  #documents: ReadDocument[] = [];
  #findings: Finding[] = [];

  add(part: Part): void {
    if ('more' in part) {
      this.#findings.push(...part.more);
    } else if ('document' in part) {
      this.#findings = [];
      this.#documents.push('error' in part.document ? part.document : { findings: this.#findings });
    } else {
      this.#documents = [];
      this.chunks.push({ ...part.chunk, documents: part.isKnown ? null : this.#documents });
    }
  }
}
