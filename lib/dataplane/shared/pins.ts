/**
 * Pins, as workers report them to the main thread. Times are milliseconds since the epoch: they outlive the
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
  /** See Endpoint.id. If the endpoint is gone, the client moves when it comes back. */
  readonly endpoint: string;
  /** When the client was first pinned. */
  readonly pinnedAt: number;
  /** When the client last used the pin. The pin ends `timeoutMs` later. */
  readonly usedAt: number;
  readonly timeoutMs: number;
  /** How often the client moved to another endpoint because its own failed or was removed. */
  readonly moves: number;
}

/** A pin that was dropped before its time-out. */
export interface LostPin extends PinName {
  readonly endpoint: null;
}

/** A pin that is new, has moved, was used again or was dropped. */
export type PinChange = PinRecord | LostPin;

export interface PinFilter {
  /** Only pins of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Only pins of this client, as in {@link PinName}; null for all. */
  readonly client: string | null;
}

export interface PinsQuestion extends PinFilter {
  /** Where the page begins: 0, or `next` of the page before. */
  readonly from: number;
}

/** How many pins a worker looks at for one page. It relays nothing meanwhile. */
export const PINS_PAGE_SIZE = 250;

/** Limit of restored pins in one message, so that the worker does not have all messages' objects at once. */
export const MAX_RESTORED = 1000;

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
  /** Pins that were dropped for newer ones. */
  readonly evicted: number;
}
