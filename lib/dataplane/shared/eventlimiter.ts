import type { DataplaneEvent, SuppressedEvents } from './messages.js';

/** This many different events of one kind are reported in a period. */
const MAX_REPORTED = 20;
/** This many of them may concern one portal, so that it does not silence the others. */
const MAX_REPORTED_OF_PORTAL = 5;
/** This many endpoints of suppressed events are remembered for each kind. */
export const MAX_NAMES = 1000;

/** Events of one kind, since the first one. */
class Period {
  readonly #reported = new Set<string>();
  readonly #reportedOf = new Map<string, number>();
  readonly endpoints = new Set<string>();
  times = 0;

  constructor(readonly end: number) {}

  admit(event: DataplaneEvent): boolean {
    const identity = Object.values(event).join(' ');
    const portal = 'portal' in event ? event.portal : '';
    const reportedOfPortal = this.#reportedOf.get(portal) ?? 0;
    const hasRoom = this.#reported.size < MAX_REPORTED && reportedOfPortal < MAX_REPORTED_OF_PORTAL;
    if (hasRoom && !this.#reported.has(identity)) {
      this.#reported.add(identity);
      this.#reportedOf.set(portal, reportedOfPortal + 1);
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
 * Limits a storm of events. In each period the first few different events of a kind are reported. The others
 * are only counted. There are few kinds, so the reports and the memory are bounded. Times are milliseconds of
 * one clock.
 */
export class EventLimiter {
  readonly #periodMs: number;
  readonly #report: (suppressed: SuppressedEvents) => void;
  readonly #periods = new Map<DataplaneEvent['kind'], Period>();

  /**
   * @param periodMs length of a period
   * @param report called at the end of a period in which events were suppressed
   */
  constructor(periodMs: number, report: (suppressed: SuppressedEvents) => void) {
    this.#periodMs = periodMs;
    this.#report = report;
  }

  /** When the next period ends; Infinity if there is none. */
  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    if (this.#periods.size === 0) return earliest;
    for (const { end } of this.#periods.values()) earliest = Math.min(earliest, end);
    return earliest;
  }

  /** @returns whether to report the event; if not, it has been counted */
  admit(event: DataplaneEvent, now: number): boolean {
    return this.#periodOf(event.kind, now).admit(event);
  }

  /** Counts the events that another limiter has suppressed. */
  count({ kind, times, endpoints }: SuppressedEvents, now: number): void {
    this.#periodOf(kind, now).count(times, endpoints);
  }

  expire(now: number): void {
    for (const [kind, { end, times, endpoints }] of this.#periods) {
      if (end > now) continue;
      this.#periods.delete(kind);
      if (times > 0) this.#report({ kind, times, endpoints: [...endpoints] });
    }
  }

  #periodOf(kind: DataplaneEvent['kind'], now: number): Period {
    let period = this.#periods.get(kind);
    if (period === undefined) {
      period = new Period(now + this.#periodMs);
      this.#periods.set(kind, period);
    }
    return period;
  }
}
