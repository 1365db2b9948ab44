import type { PinChange, PinName, PinRecord } from '../shared/pins.js';
import { type PinKey, pinKeyText } from './pinkey.js';
import type { ServiceEndpoint } from './serviceendpoints.js';
import type { TimerEntry, TimerList } from './timers.js';

/** Takes a pin whose time is over. */
export interface PinOwner {
  onExpired(pin: Pin): void;
}

/** A client that stays with an endpoint of a Service. */
export class Pin implements TimerEntry {
  timerPrevious: TimerEntry | null = null;
  timerNext: TimerEntry | null = null;
  timerDeadline = 0;
  timerList: TimerList | null = null;
  timeoutMs = 0;
  /** How often the client went to another endpoint. */
  moves = 0;
  /** The endpoint failed the client, and no other one has taken it yet. */
  isHomeless = false;
  /** It is in the table no longer. */
  isGone = false;
  /** It has changed, and the main thread does not know it yet. */
  isUntold = false;
  /** The last use that the main thread knows of (loop clock, ms). */
  toldUseAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly owner: PinOwner,
    /** Its place in the order of the table: a later pin has a higher number. */
    readonly number: number,
    readonly service: string,
    /** See PinName.portal. */
    readonly portal: string | null,
    readonly key: PinKey,
    /** Milliseconds since the epoch. */
    readonly pinnedAt: number,
    public endpoint: ServiceEndpoint,
  ) {}

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

/** What the main thread is told of a pin that has changed; parameters as for {@link recordOf}. */
export function changeOf(pin: Pin, now: number, time: number): PinChange {
  return pin.isGone ? { ...nameOf(pin), endpoint: null } : recordOf(pin, now, time);
}

function nameOf({ service, portal, key }: Pin): PinName {
  return { service, portal, client: pinKeyText(key) };
}
