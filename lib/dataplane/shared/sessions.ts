/**
 * TCP connections and UDP flows, as workers list them. A worker lists them in pages, in the order of numbers
 * that never change while a session is open. So a session that is open from the first page to the last is
 * listed exactly once.
 */

/** Which sessions are asked for. */
export interface SessionFilter {
  /** Only those of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Only those of clients with this IP address; null for all. */
  readonly client: string | null;
}

export interface SessionsQuestion extends SessionFilter {
  /** Where the page begins: {@link FIRST_PAGE}, or what the page before names as its next. */
  readonly from: PageStart;
  /** How many sessions to list at most. Further ones are counted and not listed. */
  readonly maxListed: number;
}

/** A TCP session by its client's descriptor, or a UDP flow by its index in the flow table. */
export interface PageStart {
  readonly protocol: 'TCP' | 'UDP';
  readonly at: number;
}

export const FIRST_PAGE: PageStart = { protocol: 'TCP', at: 0 };

/**
 * How many sessions a worker looks at for one page. It relays nothing meanwhile, so a page must take a few
 * milliseconds at most, on a slow board too.
 */
export const PAGE_SIZE = 250;

export interface SessionsPage {
  readonly sessions: readonly Session[];
  /** How many sessions of the page, also of those not listed, each endpoint has. */
  readonly loads: readonly EndpointLoad[];
  /** Where the next page begins; null after the last one. */
  readonly next: PageStart | null;
}

export interface Session {
  /** Key of the portal that serves it. The portal may have been removed since the session began. */
  readonly portal: string;
  /** `address:port`. */
  readonly client: string;
  /** `address:port`; null while a TCP connection waits for what the node is short of. */
  readonly endpoint: string | null;
  /**
   * TCP: `connecting` until an endpoint has answered, then `open`. UDP, as conntrack tells flows apart:
   * `unreplied`; `answered`; `stream` once it has lasted 2 s and had an answer.
   */
  readonly state: 'connecting' | 'open' | 'unreplied' | 'answered' | 'stream';
  /** For how long it has carried nothing, ms. For TCP it is exact to one second. */
  readonly idleMs: number;
}

export interface EndpointLoad extends Pick<Session, 'portal' | 'endpoint'> {
  /** How many sessions the endpoint has through this portal. */
  readonly sessions: number;
}
