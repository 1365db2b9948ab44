import type { Answer } from './answer.js';

/** What a client asks a route for. */
export interface RouteRequest {
  readonly method: 'GET' | 'HEAD';
  /** The path without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /**
   * Aborts when the client has gone or has its whole answer: an answer that waits for something should wait
   * no longer.
   */
  readonly signal: AbortSignal;
}

/** @throws BadQuery, which is answered with 400 (any other error with 500) */
export type Route = (request: RouteRequest) => Answer | Promise<Answer>;

/** Routes by exact path, asked anew for every request; `*` answers every other path. */
export type Routes = Readonly<Record<string, Route>>;
