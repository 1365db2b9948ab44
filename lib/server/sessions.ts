import { isIP } from 'node:net';
import type { EndpointLoad, Session, SessionFilter, SessionsPage } from '../dataplane/shared/sessions.js';
import { jsonText } from './answer.js';
import { type QueryField, readQuery } from './query.js';
import type { Route } from './route.js';

/** Who knows the open sessions, see Dataplane.sessions. */
export interface SessionsSource {
  sessions(filter: SessionFilter, mostListed: number): AsyncIterable<SessionsPage>;
}

/** What `/sessions` answers. */
export interface SessionsReport {
  readonly sessions: readonly Session[];
  /** How many sessions each endpoint has, also those that are not listed. */
  readonly endpoints: readonly EndpointLoad[];
  readonly total: number;
}

interface SessionsQuery extends SessionFilter {
  /** How many sessions are listed. All are counted. */
  readonly limit: number;
}

const MOST_LISTED = 100_000;

const service: QueryField<string | null> = {
  allowed: 'the namespace/name of a Service',
  absent: null,
  parse: (text) => (/^[^/]+\/[^/]+$/.test(text) ? text : undefined),
};

const client: QueryField<string | null> = {
  allowed: 'an IP address',
  absent: null,
  parse: (text) => (isIP(text) === 0 ? undefined : text),
};

const limit: QueryField<number> = {
  allowed: `a number from 0 to ${MOST_LISTED}`,
  absent: 1000,
  parse: (text) => (/^\d{1,6}$/.test(text) && Number(text) <= MOST_LISTED ? Number(text) : undefined),
};

/**
 * `/sessions?service=NAMESPACE/NAME&client=ADDRESS&limit=NUMBER`: the TCP connections and UDP flows that are
 * open now, one a line, and how many of them each endpoint has. Connections that wait for others' descriptors
 * are not among them.
 */
export function sessionsRoute(source: SessionsSource): Route {
  return ({ query }) => {
    const { limit: most, ...filter } = readQuery<SessionsQuery>(query, { service, client, limit });
    return jsonText(sessionsText(source.sessions(filter, most)));
  };
}

/** A {@link SessionsReport}, a page at a time. */
async function* sessionsText(pages: AsyncIterable<SessionsPage>): AsyncIterable<string> {
  const sums = new Map<string, EndpointLoad>();
  yield '{"sessions":[';
  let separator = '\n';
  for await (const { sessions, loads } of pages) {
    let lines = '';
    for (const session of sessions) {
      lines += separator + JSON.stringify(session);
      separator = ',\n';
    }
    addLoads(sums, loads);
    yield lines;
  }
  const endpoints = [...sums.values()];
  const total = endpoints.reduce((sum, load) => sum + load.sessions, 0);
  yield `\n],"endpoints":${JSON.stringify(endpoints)},"total":${total}}\n`;
}

function addLoads(sums: Map<string, EndpointLoad>, loads: readonly EndpointLoad[]): void {
  for (const { portal, endpoint, sessions } of loads) {
    const key = `${portal} ${endpoint}`;
    sums.set(key, { portal, endpoint, sessions: sessions + (sums.get(key)?.sessions ?? 0) });
  }
}
