import { isIP } from 'node:net';
import { EndpointLoads } from '../dataplane/shared/endpointloads.js';
import type { EndpointLoad, ListedSessions, Session, SessionFilter } from '../dataplane/shared/sessions.js';
import { jsonText } from './answer.js';
import { type QueryField, readQuery, service } from './query.js';
import type { Route } from './route.js';

/** The open sessions, see ServiceProxy.sessions. */
export interface SessionsSource {
  sessions(filter: SessionFilter, maxListed: number): AsyncIterable<ListedSessions>;
}

/** The answer of `/sessions`. */
export interface SessionsReport {
  readonly sessions: readonly Session[];
  /** The number of sessions of each endpoint. Sessions that are not listed count too. */
  readonly endpoints: readonly EndpointLoad[];
  readonly total: number;
}

interface SessionsQuery extends SessionFilter {
  /** Sessions that are listed at most. All sessions are counted. */
  readonly limit: number;
}

const MAX_LISTED = 100_000;

const client: QueryField<string | null> = {
  allowed: 'an IP address',
  absent: null,
  parse: (text) => (isIP(text) === 0 ? undefined : text),
};

const limit: QueryField<number> = {
  allowed: `a number from 0 to ${MAX_LISTED}`,
  absent: 1000,
  parse: (text) => (/^\d{1,6}$/.test(text) && Number(text) <= MAX_LISTED ? Number(text) : undefined),
};

/**
 * `/sessions?service=NAMESPACE/NAME&client=ADDRESS&limit=NUMBER`: the open TCP connections and UDP flows, one
 * for each line, and their number for each endpoint. A connection that waits for a free descriptor is not
 * listed and not counted.
 */
export function sessionsRoute(source: SessionsSource): Route {
  return ({ query }) => {
    const { limit: maxListed, ...filter } = readQuery<SessionsQuery>(query, { service, client, limit });
    return jsonText(sessionsText(source.sessions(filter, maxListed)));
  };
}

/** A {@link SessionsReport}, some sessions at a time. */
async function* sessionsText(pages: AsyncIterable<ListedSessions>): AsyncIterable<string> {
  const sums = new EndpointLoads();
  yield '{"sessions":[';
  let separator = '\n';
  for await (const { sessions, loads } of pages) {
    let lines = '';
    for (const session of sessions) {
      lines += separator + JSON.stringify(session);
      separator = ',\n';
    }
    for (const load of loads) sums.add(load);
    yield lines;
  }
  const endpoints = sums.all;
  const total = endpoints.reduce((sum, load) => sum + load.sessions, 0);
  yield `\n],"endpoints":${JSON.stringify(endpoints)},"total":${total}}\n`;
}
