import type { ReadChunk, ReadDocument } from './chunks.js';
import type { ReadItem } from './manifest-objects.js';

/** Documents or items in one message. The receiver needs some milliseconds for them. */
const BATCH = 1000;

/** A part of a parsed file. It is small, so that a message with it does not block the receiving thread. */
export type Fragment =
  | { readonly chunk: Omit<ReadChunk, 'documents'>; readonly isKnown: boolean }
  | { readonly document: ReadDocument }
  /** More items of the previous document. */
  | { readonly more: readonly ReadItem[] };

/** Cuts a parsed file into batches of fragments. */
export function* batchesOf(chunks: Iterable<ReadChunk>): Generator<readonly Fragment[]> {
  let batch: Fragment[] = [];
  let size = 0;
  for (const fragment of fragmentsOf(chunks)) {
    batch.push(fragment);
    size += 'more' in fragment ? fragment.more.length : 1;
    if (size < BATCH) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  yield batch;
}

function* fragmentsOf(chunks: Iterable<ReadChunk>): Generator<Fragment> {
  for (const { documents, ...chunk } of chunks) {
    yield { chunk, isKnown: documents === null };
    for (const document of documents ?? []) {
      if ('error' in document) {
        yield { document };
        continue;
      }
      yield { document: { items: [] } };
      const { items } = document;
      for (let at = 0; at < items.length; at += BATCH) yield { more: items.slice(at, at + BATCH) };
    }
  }
}

/** Joins fragments to chunks again. */
export class ChunkAssembler {
  readonly chunks: ReadChunk[] = [];
  #documents: ReadDocument[] = [];
  #items: ReadItem[] = [];

  add(fragment: Fragment): void {
    if ('more' in fragment) {
      this.#items.push(...fragment.more);
    } else if ('document' in fragment) {
      this.#items = [];
      this.#documents.push('error' in fragment.document ? fragment.document : { items: this.#items });
    } else {
      this.#documents = [];
      this.chunks.push({ ...fragment.chunk, documents: fragment.isKnown ? null : this.#documents });
    }
  }
}
