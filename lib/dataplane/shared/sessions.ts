/**
 * TCP connections and UDP flows, as the control plane and the workers list them. A worker lists the sessions
 * that it relays in pages, ordered by position. The position of a session never changes, so a session that is
 * open from the first page to the last is listed exactly once.
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

/** Some of the open sessions. */
export interface ListedSessions {
  readonly sessions: readonly Session[];
  /** How many sessions each endpoint has among these, listed or not. */
  readonly loads: readonly EndpointLoad[];
}

export interface SessionsPage extends ListedSessions {
  /** Where the next page begins; null after the last one. */
  readonly next: PageStart | null;
}

export interface Session {
  /**
   * Key of the portal that serves it. The portal may have been removed since the session began. Null: it has
   * been removed, and the kernel carries the session and does not know the key.
   */
  readonly portal: string | null;
  /** `address:port`. */
  readonly client: string;
  /**
   * `address:port`; `all` for a flow whose datagrams go to several endpoints (rtps-routing); null while a TCP
   * connection waits for ports, descriptors or memory of the node.
   */
  readonly endpoint: string | null;
  readonly carrier: 'kernel' | 'relay';
  /**
   * TCP: `connecting` until an endpoint has answered, then `open`. `closing`: the kernel carries it, and one
   * side has ended it. UDP, as conntrack tells flows apart: `unreplied`; `answered`; `stream` once it had an
   * answer and has lasted 2 s, or in the kernel has gone on.
   */
  readonly state: 'connecting' | 'open' | 'closing' | 'unreplied' | 'answered' | 'stream';
  /**
   * Time since the session last carried data, ms. For TCP, and for all that the kernel carries, it is exact
   * to one second. Null: the kernel does not tell.
   */
  readonly idleMs: number | null;
  /** Bytes of IP packets from the client, headers included. Null: nobody counts them for each session. */
  readonly bytesIn: number | null;
  /** The same for packets to the client. */
  readonly bytesOut: number | null;
}

export interface EndpointLoad extends Pick<Session, 'portal' | 'endpoint'> {
  /** How many sessions the endpoint has through this portal. */
  readonly sessions: number;
}
