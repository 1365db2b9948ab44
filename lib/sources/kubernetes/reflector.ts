import { ApiError, isUnreachable } from './api-error.js';
import { Backoff } from './backoff.js';
import type { ApiClient, QueryParameters } from './client.js';
import { readListPage } from './list-page.js';
import { type Mirror, metadataOf } from './mirror.js';
import type { Resource } from './resources.js';
import { errorOfStatus, readWatchEvent, UnreadableEvent, type WatchEvent } from './watch-event.js';

/** Objects of one page of a list. */
const PAGE_SIZE = 500;
/**
 * The server is asked to end a watch after this time, or up to twice this time at random, so that the nodes
 * do not all come back at one moment.
 */
const WATCH_SECONDS = 300;
/** A watch of this length worked. A failure after it gets the first delay of the backoff. */
const STEADY_WATCH_MS = 1_000;

export interface ReflectorEvents {
  /** The mirror is complete for the first time. Its objects are from this resource. */
  synced(resource: string): void;
  /** The server answered a request. */
  working(): void;
  /** A request failed. The reflector will try again. */
  failed(error: Error): void;
}

/**
 * Keeps a mirror equal to a collection of the API server. It lists the collection in pages, then watches it
 * from the version of the list. After a broken watch, the next watch starts at the last version. If the
 * server no longer knows this version (410), the collection is listed again. Failed requests are repeated
 * without end.
 */
export class Reflector<T> {
  readonly #client: ApiClient;
  readonly #candidates: readonly Resource<T>[];
  readonly #mirror: Mirror<T>;
  readonly #events: ReflectorEvents;
  readonly #backoff = new Backoff();
  #candidateIndex = 0;
  /** The resourceVersion at which the next watch starts. Null: a list is needed first. */
  #version: string | null = null;
  /** The last list expired between two pages. */
  #hasListExpired = false;
  #isSynced = false;

  /** @param candidates the collection in newer and older forms of the API, the preferred one first */
  constructor(
    client: ApiClient,
    candidates: readonly Resource<T>[],
    mirror: Mirror<T>,
    events: ReflectorEvents,
  ) {
    this.#client = client;
    this.#candidates = candidates;
    this.#mirror = mirror;
    this.#events = events;
  }

  /** Resolves when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#version ??= await this.#list(signal);
        await this.#watch(this.#version, signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error as Error, signal);
      }
    }
  }

  get #resource(): Resource<T> {
    return this.#candidates[this.#candidateIndex] as Resource<T>;
  }

  /** @returns the resourceVersion of the list */
  async #list(signal: AbortSignal): Promise<string> {
    const seen = new Set<string>();
    let token = '';
    for (;;) {
      const page = readListPage(await this.#client.get(this.#resource.path, this.#listQuery(token), signal));
      this.#events.working();
      for (const item of page.items) seen.add(this.#mirror.put(item, this.#resource.parse));
      token = page.next;
      if (token !== '') continue;
      this.#mirror.keepOnly(seen);
      this.#hasListExpired = false;
      if (!this.#isSynced) this.#events.synced(this.#resource.name);
      this.#isSynced = true;
      return page.version;
    }
  }

  /** If a list expired between two pages, pages take too long, so the next list comes in one piece. */
  #listQuery(token: string): QueryParameters {
    const { selector } = this.#resource;
    if (this.#hasListExpired) return selector;
    return { ...selector, limit: PAGE_SIZE, ...(token !== '' && { continue: token }) };
  }

  /** Resolves when the server ends the watch at its time limit. */
  async #watch(version: string, signal: AbortSignal): Promise<void> {
    const started = Date.now();
    const query = {
      ...this.#resource.selector,
      watch: 1,
      allowWatchBookmarks: 'true',
      timeoutSeconds: Math.floor(WATCH_SECONDS * (1 + Math.random())),
      resourceVersion: version,
    };
    try {
      const lines = await this.#client.lines(this.#resource.path, query, signal);
      this.#events.working();
      for await (const line of lines) this.#apply(readWatchEvent(line));
    } finally {
      if (Date.now() - started >= STEADY_WATCH_MS) this.#backoff.reset();
    }
    if (Date.now() - started < STEADY_WATCH_MS) throw new Error('the server ended the watch at once');
  }

  #apply({ type, object }: WatchEvent): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#mirror.put(object, this.#resource.parse);
        break;
      case 'DELETED':
        this.#mirror.remove(object);
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR':
        throw errorOfStatus(object);
    }
    this.#version = metadataOf(object).resourceVersion ?? null;
  }

  /** The server has changed, for example by an upgrade, so it may have the preferred API version now. */
  #startOver(): void {
    this.#candidateIndex = 0;
    this.#version = null;
  }

  async #recover(error: Error, signal: AbortSignal): Promise<void> {
    const isAbsent = error instanceof ApiError && error.status === 404;
    if (isAbsent && !this.#isSynced && this.#candidateIndex + 1 < this.#candidates.length) {
      this.#candidateIndex++;
      return;
    }
    if (isAbsent && this.#candidateIndex > 0) this.#startOver();
    const isExpired = isUnknownVersion(error);
    if (isExpired) this.#hasListExpired = this.#version === null;
    else this.#events.failed(error);
    if (isExpired || error instanceof UnreadableEvent) this.#version = null;
    await this.#backoff.wait(signal, {
      isUnreachable: isUnreachable(error),
      ...(error instanceof ApiError && { retryAfterMs: error.retryAfterMs }),
    });
  }
}

/** The version is too old for the server. It can also be too new, after etcd was restored from a backup. */
function isUnknownVersion(error: Error): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 410 || (error.status === 504 && /too large resource version/i.test(error.message));
}
