import type { HttpAnswer } from './answer.js';

/** A request to a route. */
export interface RouteRequest {
  readonly method: string;
  /** The path without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Aborts when the connection is closed or the answer is sent. A route that still waits can then stop. */
  readonly signal: AbortSignal;
}

/** @throws BadQuery for HTTP status 400. Any other error gives status 500. */
export type Route = (request: RouteRequest) => HttpAnswer | Promise<HttpAnswer>;

/**
 * Routes by exact path, for GET and HEAD. `*` is the route of every other path. A route for another method
 * has the method before its path: `DELETE /v1/pins`.
 */
export type Routes = Readonly<Record<string, Route>>;
