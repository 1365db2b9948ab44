import type { EndpointCounters } from '../shared/endpoints.js';

/**
 * What one worker has counted of an endpoint. Fields of an object, and not cells of shared memory: a cluster
 * may have a million endpoints, and a node uses few of them.
 */
export class EndpointCounts implements EndpointCounters {
  total = 0;
  active = 0;
  carriedActive = 0;
  failures = 0;
  moved = 0;
  datagramsIn = 0;
  datagramsOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** When it last failed any client (loop clock, ms). */
  failedAt = Number.NEGATIVE_INFINITY;
  /** Why it last failed; null if it never did. */
  reason: string | null = null;

  /** The endpoint has failed a client. @param now loop clock, ms */
  fail(reason: string, now: number): void {
    this.failures++;
    this.failedAt = now;
    this.reason = reason;
  }

  /** A client goes from this endpoint to another. */
  moveTo(other: EndpointCounts): void {
    this.moved++;
    other.total++;
  }

  /** Datagrams of clients go to it. */
  sent(datagrams: number, bytes: number): void {
    this.datagramsIn += datagrams;
    this.bytesIn += bytes;
  }

  /** It has sent datagrams to clients. */
  answered(datagrams: number, bytes: number): void {
    this.datagramsOut += datagrams;
    this.bytesOut += bytes;
  }
}
