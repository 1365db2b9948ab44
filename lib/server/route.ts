import type { Answer } from './answer.js';

/** A request to a route. */
export interface RouteRequest {
  readonly method: 'GET' | 'HEAD';
  /** The path without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Aborts when the connection is closed or the answer is sent. A route that still waits can then stop. */
  readonly signal: AbortSignal;
}

/** @throws BadQuery for HTTP status 400. Any other error gives status 500. */
export type Route = (request: RouteRequest) => Answer | Promise<Answer>;

/** Routes by exact path. `*` is the route of every other path. */
export type Routes = Readonly<Record<string, Route>>;
