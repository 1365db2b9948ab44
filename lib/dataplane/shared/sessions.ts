/**
 * TCP connections and UDP flows, as workers list them. A worker lists its sessions in pages, ordered by
 * position. The position of a session never changes, so a session that is open from the first page to the
 * last is listed exactly once.
 */

/** Which sessions to list. */
export interface SessionFilter {
  /** Only sessions of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Only sessions of clients with this IP address; null for all. */
  readonly client: string | null;
}

export interface SessionsQuestion extends SessionFilter {
  /** Where the page begins: {@link FIRST_PAGE}, or `next` of the page before. */
  readonly from: PageStart;
  /** How many sessions to list at most. Further sessions are counted only. */
  readonly maxListed: number;
}

export interface PageStart {
  readonly protocol: 'TCP' | 'UDP';
  /** TCP: the descriptor of the client's socket. UDP: the flow's index in the flow table. */
  readonly position: number;
}

export const FIRST_PAGE: PageStart = { protocol: 'TCP', position: 0 };

/**
 * How many sessions a worker looks at for one page. The worker relays nothing meanwhile, so a page must take
 * a few milliseconds at most, on a slow board too.
 */
export const PAGE_SIZE = 250;

export interface SessionsPage {
  readonly sessions: readonly Session[];
  /** How many sessions of the page each endpoint has, listed or not. */
  readonly loads: readonly EndpointLoad[];
  /** Where the next page begins; null after the last one. */
  readonly next: PageStart | null;
}

export interface Session {
  /** Key of the portal that serves it. The portal may have been removed since the session began. */
  readonly portal: string;
  /** `address:port`. */
  readonly client: string;
  /**
   * `address:port`; `all` for a flow whose datagrams go to several endpoints (rtps-routing); null while a TCP
   * connection waits for ports, descriptors or memory of the node.
   */
  readonly endpoint: string | null;
  /**
   * TCP: `connecting` until an endpoint has answered, then `open`. UDP, as conntrack tells flows apart:
   * `unreplied`; `answered`; `stream` once it has lasted 2 s and had an answer.
   */
  readonly state: 'connecting' | 'open' | 'unreplied' | 'answered' | 'stream';
  /** Time since the session last carried data, ms. For TCP it is exact to one second. */
  readonly idleMs: number;
}

export interface EndpointLoad extends Pick<Session, 'portal' | 'endpoint'> {
  /** How many sessions the endpoint has through this portal. */
  readonly sessions: number;
}
