/**
 * Pins, as workers tell the main thread of them. Times are milliseconds since the epoch: they outlive the
 * process, see PinMemory.
 */

/** Which client of which Service is pinned. */
export interface PinName {
  /** `namespace/name`. */
  readonly service: string;
  /**
   * Null for the pin of all ports. The key of a portal, if the pinned pod does not serve this port and the
   * port has a pin of its own.
   */
  readonly portal: string | null;
  /** The text of the pin's key: an IP address, or the hexadecimal digits of an RTPS prefix. */
  readonly client: string;
}

export interface PinRecord extends PinName {
  /** See Endpoint.id. The endpoint may be gone: the client then moves when it comes back. */
  readonly endpoint: string;
  /** When the client was first pinned. */
  readonly pinnedAt: number;
  /** When the client last came. The pin ends `timeoutMs` after that. */
  readonly usedAt: number;
  readonly timeoutMs: number;
  /** How often the client went to another endpoint, because its own failed or was removed. */
  readonly moves: number;
}

/** A pin that was given up before its time. */
export interface LostPin extends PinName {
  readonly endpoint: null;
}

/** A pin that is new, has moved, was used again or was given up. */
export type PinChange = PinRecord | LostPin;

export interface PinFilter {
  /** Only those of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Only those of this client, as in {@link PinName}; null for all. */
  readonly client: string | null;
}

export interface PinsQuestion extends PinFilter {
  /** Where the page begins: 0, or what the page before names as its next. */
  readonly from: number;
}

/** How many pins a worker looks at for one page: it relays nothing meanwhile. */
export const PINS_PAGE_SIZE = 500;

export interface PinsPage {
  readonly pins: readonly PinRecord[];
  /** Where the next page begins; null after the last one. */
  readonly next: number | null;
}

/** How many pins an endpoint of a Service has. */
export interface PinCount {
  readonly service: string;
  readonly endpoint: string;
  readonly pins: number;
}

/** How many pins there are in all workers together. */
export interface PinCounts {
  /** The endpoints that have pins. */
  counts(): Iterable<PinCount>;
  /** All pins, also those to endpoints that are gone. */
  readonly total: number;
  /** Pins that were given up for newer ones. */
  readonly evicted: number;
}
