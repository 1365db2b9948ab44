import { ApiError, isUnreachable } from './api-error.js';
import { Backoff } from './backoff.js';
import type { ApiClient, Query } from './client.js';
import { readListPage } from './list-page.js';
import { type Mirror, metadataOf } from './mirror.js';
import type { Resource } from './resources.js';
import { errorOfStatus, readWatchEvent, UnreadableEvent, type WatchEvent } from './watch-event.js';

const PAGE_SIZE = 500;
/**
 * The server ends a watch after this, s, up to twice as long at random,
 * so that nodes do not come back in step.
 */
const WATCH_SECONDS = 300;
/** A watch that lasts so long, ms, worked: the next failure is a new one. */
const STEADY_WATCH_MS = 1_000;

/** What happens to a reflector, for whoever tells people about it. */
export interface ReflectorEvents {
  /** The mirror is complete for the first time, made of this resource. */
  synced(resource: string): void;
  /** The server answers what was asked. */
  working(): void;
  /** It does not; it will be tried again. */
  failed(error: Error): void;
}

/**
 * Keeps a mirror equal to a collection of the API server: lists it in pages, then watches from that version
 * on. A broken watch goes on where it was; a version that the server has forgotten (410) means a new list, of
 * which only the differences reach the mirror. What cannot be had is tried again for ever.
 */
export class Reflector<T> {
  readonly #client: ApiClient;
  readonly #candidates: readonly Resource<T>[];
  readonly #mirror: Mirror<T>;
  readonly #events: ReflectorEvents;
  readonly #backoff = new Backoff();
  #candidate = 0;
  /** From which to watch; null asks for a list. */
  #version: string | null = null;
  #expired = false;
  #synced = false;

  /** @param candidates the same collection in the API's present and older forms, the preferred one first */
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

  /** Resolves when aborted. */
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
    return this.#candidates[this.#candidate] as Resource<T>;
  }

  /** @returns the version that the list shows */
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
      this.#expired = false;
      if (!this.#synced) this.#events.synced(this.#resource.name);
      this.#synced = true;
      return page.version;
    }
  }

  /** Pages that expired before the last was fetched show that the list takes too long in pages. */
  #listQuery(token: string): Query {
    const { selector } = this.#resource;
    if (this.#expired) return selector;
    return { ...selector, limit: PAGE_SIZE, ...(token !== '' && { continue: token }) };
  }

  /** Resolves when the server ends the watch, as it does from time to time. */
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
      for await (const line of lines) this.#take(readWatchEvent(line));
    } finally {
      if (Date.now() - started >= STEADY_WATCH_MS) this.#backoff.reset();
    }
    if (Date.now() - started < STEADY_WATCH_MS) throw new Error('the server ended the watch at once');
  }

  #take({ type, object }: WatchEvent): void {
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

  /** A server that has been upgraded, or is there at last, may have the preferred form. */
  #startOver(): void {
    this.#candidate = 0;
    this.#version = null;
  }

  async #recover(error: Error, signal: AbortSignal): Promise<void> {
    const isAbsent = error instanceof ApiError && error.status === 404;
    if (isAbsent && !this.#synced && this.#candidate + 1 < this.#candidates.length) {
      this.#candidate++;
      return;
    }
    if (isAbsent && this.#candidate > 0) this.#startOver();
    if (isUnknownVersion(error)) this.#expired = this.#version === null;
    else this.#events.failed(error);
    if (isUnknownVersion(error) || error instanceof UnreadableEvent) this.#version = null;
    await this.#backoff.wait(signal, {
      isUnreachable: isUnreachable(error),
      ...(error instanceof ApiError && { retryAfterMs: error.retryAfterMs }),
    });
  }
}

/**
 * The version is too old; or too new, after etcd was set back to a copy of former times.
 * Both are part of its life.
 */
function isUnknownVersion(error: Error): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 410 || (error.status === 504 && /too large resource version/i.test(error.message));
}
