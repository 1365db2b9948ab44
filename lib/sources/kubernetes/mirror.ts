import { isDeepStrictEqual } from 'node:util';
import { objectKey } from '../../model/objects.js';
import type { Parsed } from '../../model/parse.js';
import type { Problem } from '../../model/problem.js';
import { SharedMap } from '../../model/sharedmap.js';

interface Entry<T> {
  /** The API object's uid, for Events. */
  readonly uid: string;
  /** Parsed from the last version that could be parsed. */
  readonly values: readonly T[];
}

/**
 * The objects of one collection, parsed for the model. An object that cannot be parsed is a problem, and its
 * last good version stays. A value that has not changed stays the same object (`===`).
 */
export class Mirror<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #keyOf: (value: T) => string;
  readonly #onChange: () => void;
  /** Problems of the present versions, by the keys of the objects. */
  readonly #problems = new Map<string, Problem>();
  /** Changes since `values` was last read. Undefined: the value is removed. */
  readonly #pending = new Map<string, T | undefined>();
  #values = SharedMap.empty<T>();

  /** @param onChange called after each change of the values or of the problems */
  constructor(keyOf: (value: T) => string, onChange: () => void) {
    this.#keyOf = keyOf;
    this.#onChange = onChange;
  }

  /** All values by their keys. While nothing changes, this is the same map. */
  get values(): ReadonlyMap<string, T> {
    this.#values = this.#values.with(this.#pending);
    this.#pending.clear();
    return this.#values;
  }

  get problems(): Problem[] {
    return [...this.#problems.values()];
  }

  /** The uid of an object, by `namespace/name`. */
  uidOf(key: string): string | undefined {
    return this.#entries.get(key)?.uid;
  }

  /** Adds or replaces an object of the server. @returns its key */
  put(raw: unknown, parse: (raw: unknown) => Parsed<readonly T[]>): string {
    const { key, uid } = identityOf(raw);
    const before = this.#entries.get(key);
    const parsed = parse(raw);
    const known = before?.values ?? [];
    const values = parsed.ok ? this.#reuse(parsed.value, known) : known;
    this.#entries.set(key, { uid, values });
    const hadProblem = this.#problems.delete(key);
    if (!parsed.ok) this.#problems.set(key, parsed.problem);
    this.#replace(known, values);
    if (values !== known || hadProblem || !parsed.ok) this.#onChange();
    return key;
  }

  /** Removes the object, if the mirror has it. */
  remove(raw: unknown): void {
    this.#drop(identityOf(raw).key);
  }

  /** After a complete list: removes the objects that the list does not have. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#drop(key);
  }

  /** Replaces values by equal ones of `known`. If all are equal, the result is `known` itself. */
  #reuse(values: readonly T[], known: readonly T[]): readonly T[] {
    if (isDeepStrictEqual(values, known)) return known;
    const byKey = new Map(known.map((value) => [this.#keyOf(value), value]));
    return values.map((value) => {
      const before = byKey.get(this.#keyOf(value));
      return before !== undefined && isDeepStrictEqual(before, value) ? before : value;
    });
  }

  #replace(before: readonly T[], after: readonly T[]): void {
    if (before === after) return;
    for (const value of before) this.#pending.set(this.#keyOf(value), undefined);
    for (const value of after) this.#pending.set(this.#keyOf(value), value);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#problems.delete(key);
    this.#replace(entry.values, []);
    this.#onChange();
  }
}

/** The server's objects always have this metadata. All other fields are the parser's work. */
function identityOf(raw: unknown): { readonly key: string; readonly uid: string } {
  const { namespace, name, uid } = metadataOf(raw);
  return { key: objectKey({ namespace: namespace ?? 'default', name: name ?? '' }), uid: uid ?? '' };
}

interface Metadata {
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** The metadata of an object. Empty if it has none. */
export function metadataOf(raw: unknown): Metadata {
  return (raw as { metadata?: Metadata } | null)?.metadata ?? {};
}
