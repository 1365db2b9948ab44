import type { PinChange, PinName, PinRecord } from '../shared/pins.js';
import { type PinKey, pinKeyText } from './pinkey.js';
import type { ServiceEndpoint } from './serviceendpoints.js';
import { TimerEntry } from './timers.js';

/** The table that a pin belongs to. */
export interface PinOwner {
  /** The pin's time is over. */
  onExpired(pin: Pin): void;
}

/** Keeps a client at one endpoint of a Service. */
export class Pin extends TimerEntry {
  timeoutMs = 0;
  /** How often the client went to another endpoint. */
  moves = 0;
  /** Whether the endpoint has failed the client, and the client has no other one yet. */
  isHomeless = false;
  /** Whether the pin was removed from the table. */
  isGone = false;
  /** The main thread may know the pin. */
  isKnown = false;
  /** The last use that the main thread knows of (loop clock, ms). */
  toldUseAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly owner: PinOwner,
    /** Position in the table's order: a later pin has a higher number. */
    readonly number: number,
    readonly service: string,
    /** See PinName.portal. */
    readonly portal: string | null,
    readonly key: PinKey,
    /** Milliseconds since the epoch. */
    readonly pinnedAt: number,
    public endpoint: ServiceEndpoint,
  ) {
    super();
  }

  /** When its client last came (loop clock, ms). */
  get usedAt(): number {
    return this.timerDeadline - this.timeoutMs;
  }

  onTimer(): void {
    this.owner.onExpired(this);
  }
}

/**
 * The pin as the main thread knows it.
 * @param now the loop's clock, ms
 * @param time the same moment, milliseconds since the epoch
 */
export function recordOf(pin: Pin, now: number, time: number): PinRecord {
  return {
    ...nameOf(pin),
    endpoint: pin.endpoint.id,
    pinnedAt: pin.pinnedAt,
    usedAt: Math.round(time - (now - pin.usedAt)),
    timeoutMs: pin.timeoutMs,
    moves: pin.moves,
  };
}

/** What the main thread learns about a pin that has changed. The parameters are as for {@link recordOf}. */
export function changeOf(pin: Pin, now: number, time: number): PinChange {
  return pin.isGone ? { ...nameOf(pin), endpoint: null } : recordOf(pin, now, time);
}

function nameOf({ service, portal, key }: Pin): PinName {
  return { service, portal, client: pinKeyText(key) };
}
