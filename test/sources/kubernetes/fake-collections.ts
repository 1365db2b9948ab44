export interface FakeObject {
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** A change of one object, as a watch reports it. */
export interface FakeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
}

/** A part of a list. */
export interface FakePage {
  readonly objects: readonly FakeObject[];
  readonly version: number;
  /** Token for the next page. Empty in the last page. */
  readonly next: string;
}

interface PastEvent extends FakeEvent {
  readonly path: string;
  readonly version: number;
}

/** The objects of an API server by the path of their collection, with versions and a history. */
export class FakeCollections {
  readonly #objects: ReadonlyMap<string, Map<string, FakeObject>>;
  #history: PastEvent[] = [];
  #version = 100;
  /** Older versions are forgotten. */
  #oldestVersion = 0;

  constructor(paths: readonly string[]) {
    this.#objects = new Map(paths.map((path) => [path, new Map()]));
  }

  /** Of the last change. */
  get version(): number {
    return this.#version;
  }

  has(path: string): boolean {
    return this.#objects.has(path);
  }

  /** Creates or replaces an object. */
  put(path: string, object: FakeObject): FakeEvent {
    const collection = this.#objects.get(path)!;
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const type = collection.has(key) ? 'MODIFIED' : 'ADDED';
    const metadata = { uid: `uid-of-${key}`, ...object.metadata };
    const event = this.#record(path, type, { ...object, metadata });
    collection.set(key, event.object);
    return event;
  }

  delete(path: string, key: string): FakeEvent {
    const collection = this.#objects.get(path)!;
    const object = collection.get(key)!;
    collection.delete(key);
    return this.#record(path, 'DELETED', object);
  }

  /** Forgets the history, as etcd's compaction does. */
  compact(): void {
    this.#history = [];
    this.#oldestVersion = this.#version;
  }

  /** A page of a list. Null: the version of the token is forgotten. */
  page(path: string, token: string, limit: number): FakePage | null {
    const [version = this.#version, start = 0] = token.split('/').filter(Boolean).map(Number);
    if (version < this.#oldestVersion) return null;
    const objects = [...this.#objects.get(path)!.values()];
    const next = start + limit < objects.length ? `${version}/${start + limit}` : '';
    return { objects: objects.slice(start, start + limit), version, next };
  }

  /** The changes of a collection after a version. Null: the version is forgotten. */
  changesAfter(path: string, version: number): readonly FakeEvent[] | null {
    if (version < this.#oldestVersion) return null;
    return this.#history.filter((event) => event.path === path && event.version > version);
  }

  #record(path: string, type: FakeEvent['type'], { metadata, ...rest }: FakeObject): FakeEvent {
    const version = ++this.#version;
    const object = { ...rest, metadata: { ...metadata, resourceVersion: String(version) } };
    this.#history.push({ path, type, object, version });
    return { type, object };
  }
}
