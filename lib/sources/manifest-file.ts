import { type ReadChunk, type ReadDocument, readChunks } from './chunks.js';
import type { ManifestObject, ReadItem } from './manifest-objects.js';
import type { ManifestProblem, Place } from './manifest-problem.js';

/** An object and its place in the manifests. */
export interface PlacedObject {
  readonly place: Place;
  readonly object: ManifestObject;
}

/** The objects and problems of one manifest file. */
export interface FileState {
  readonly objects: readonly PlacedObject[];
  readonly problems: readonly ManifestProblem[];
  /** apiVersion and kind of ignored objects, without duplicates. */
  readonly ignored: readonly string[];
  /** The documents of each chunk by the hash of its text. After a change, only changed chunks are parsed. */
  readonly parsed: ReadonlyMap<string, readonly ReadDocument[]>;
}

/**
 * Reads the text of a manifest file. An object or document that is not valid becomes a problem, and its last
 * good version stays:
 * - an object with a name: its version in `before`, if there is one;
 * - a document that cannot be parsed: every object of `before` that the rest of the file does not define,
 *   because the document may contain any of them.
 */
export function readManifest(file: string, text: string, before?: FileState): FileState {
  return stateOf(file, [...readChunks(text, knownChunks(before))], before);
}

/** Documents by the hash of their chunk. These chunks need not be parsed again. */
export function knownChunks(before?: FileState): ReadonlyMap<string, readonly ReadDocument[]> {
  return before?.parsed ?? new Map();
}

/** Makes the state of a file from its chunks. See {@link readManifest} for what stays of `before`. */
export function stateOf(file: string, chunks: readonly ReadChunk[], before?: FileState): FileState {
  if (chunks.length === 0) return holdFile(file, 'the file is empty', before);
  const known = knownChunks(before);
  const parsed = new Map<string, readonly ReadDocument[]>();
  const found: (ReadItem & { readonly place: Place })[] = [];
  let document = 0;
  for (const { hash, linesBefore, documents: read } of chunks) {
    const documents = read ?? parsed.get(hash) ?? known.get(hash) ?? [];
    parsed.set(hash, documents);
    for (const readDocument of documents) {
      document += 1;
      for (const entry of itemsOf(readDocument, linesBefore)) {
        const { item } = entry;
        found.push({ ...entry, place: { file, document, ...(item && { item }) } });
      }
    }
  }
  return { ...partitionItems(found, before), parsed };
}

/** The state of a file that cannot be read: a problem, and all objects of `before`. */
export function holdFile(file: string, reason: string, before?: FileState): FileState {
  const held = before?.objects ?? [];
  const message = held.length > 0 ? `${reason}; its last good objects stay in service` : reason;
  return {
    objects: held,
    problems: [{ file, object: 'file', message }],
    ignored: [],
    parsed: before?.parsed ?? new Map(),
  };
}

function itemsOf(document: ReadDocument, linesBefore: number): readonly ReadItem[] {
  if ('items' in document) return document.items;
  const { message, position } = document.error;
  const column = position?.column === undefined ? '' : `, column ${position.column}`;
  const where = position ? ` (line ${linesBefore + position.line}${column})` : '';
  const problem = { object: 'document', message: `not readable as YAML or JSON: ${message}${where}` };
  return [{ result: { kind: 'problem', id: null, problem } }];
}

function partitionItems(
  found: readonly (ReadItem & { readonly place: Place })[],
  before: FileState | undefined,
): Omit<FileState, 'parsed'> {
  const objects: PlacedObject[] = [];
  const problems: ManifestProblem[] = [];
  const ignored = new Set<string>();
  const refused = new Set<string | null>();
  for (const { place, result } of found) {
    if (result.kind === 'object') objects.push({ place, object: result.object });
    else if (result.kind === 'ignored') ignored.add(result.what);
    else {
      problems.push({ ...place, ...result.problem });
      refused.add(result.id);
    }
  }
  return { objects: [...objects, ...lastGood(objects, refused, before)], problems, ignored: [...ignored] };
}

/** Objects of `before` that stay. A null in `refused` is a document that may contain any object. */
function lastGood(
  good: readonly PlacedObject[],
  refused: ReadonlySet<string | null>,
  before: FileState | undefined,
): PlacedObject[] {
  if (before === undefined || refused.size === 0) return [];
  const present = new Set(good.map(({ object }) => object.id));
  return before.objects.filter(
    ({ object: { id } }) => !present.has(id) && (refused.has(null) || refused.has(id)),
  );
}
