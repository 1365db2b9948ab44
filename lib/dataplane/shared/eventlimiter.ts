import type { DataplaneEvent, SuppressedEvents } from './messages.js';

/** So many different events of one kind are told in a period. */
const TOLD = 20;
/** And so many of one portal, so that one does not silence the others. */
const TOLD_OF_PORTAL = 5;
/** So many endpoints of those suppressed are remembered. */
export const MAX_NAMES = 1000;

/** Events of one kind, from the first one on. */
class Period {
  readonly #told = new Set<string>();
  readonly #toldOf = new Map<string, number>();
  readonly endpoints = new Set<string>();
  times = 0;

  constructor(readonly end: number) {}

  admit(event: DataplaneEvent): boolean {
    const identity = Object.values(event).join(' ');
    const portal = 'portal' in event ? event.portal : '';
    const toldOfPortal = this.#toldOf.get(portal) ?? 0;
    if (this.#told.size < TOLD && toldOfPortal < TOLD_OF_PORTAL && !this.#told.has(identity)) {
      this.#told.add(identity);
      this.#toldOf.set(portal, toldOfPortal + 1);
      return true;
    }
    this.count(1, 'endpoint' in event ? [event.endpoint] : []);
    return false;
  }

  count(times: number, endpoints: readonly string[]): void {
    this.times += times;
    for (const endpoint of endpoints) {
      if (this.endpoints.size === MAX_NAMES) return;
      this.endpoints.add(endpoint);
    }
  }
}

/**
 * Keeps a storm of events short: in each period the first few different ones of a kind are told, the others
 * counted. As there are few kinds, this bounds both what is told and what is remembered. Times are
 * milliseconds of one clock.
 */
export class EventLimiter {
  readonly #length: number;
  readonly #tell: (suppressed: SuppressedEvents) => void;
  readonly #periods = new Map<DataplaneEvent['kind'], Period>();

  /**
   * @param length of a period, ms
   * @param tell called at the end of a period in which events were counted only
   */
  constructor(length: number, tell: (suppressed: SuppressedEvents) => void) {
    this.#length = length;
    this.#tell = tell;
  }

  /** When the next period ends; Infinity while there is none. */
  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    if (this.#periods.size === 0) return earliest;
    for (const { end } of this.#periods.values()) earliest = Math.min(earliest, end);
    return earliest;
  }

  /** @returns whether to tell the event; if not, it has been counted */
  admit(event: DataplaneEvent, now: number): boolean {
    return this.#periodOf(event.kind, now).admit(event);
  }

  /** Counts what another limiter did not tell. */
  count({ kind, times, endpoints }: SuppressedEvents, now: number): void {
    this.#periodOf(kind, now).count(times, endpoints);
  }

  expire(now: number): void {
    for (const [kind, { end, times, endpoints }] of this.#periods) {
      if (end > now) continue;
      this.#periods.delete(kind);
      if (times > 0) this.#tell({ kind, times, endpoints: [...endpoints] });
    }
  }

  #periodOf(kind: DataplaneEvent['kind'], now: number): Period {
    let period = this.#periods.get(kind);
    if (period === undefined) {
      period = new Period(now + this.#length);
      this.#periods.set(kind, period);
    }
    return period;
  }
}
