/** TCP_TIMEWAIT_LEN of the kernel (include/net/tcp.h). */
export const TIME_WAIT_MS = 60_000;
/**
 * After a connection has ended, its port rests for this time while other ports are free, as with
 * net.ipv4.tcp_tw_reuse. Then no late packets of the connection are under way any more.
 */
const SHORT_REST_MS = 1000;
/**
 * If this many rested ports in a row could not be used again, one side has no TCP timestamps. Then a port can
 * be used only after its TIME_WAIT.
 */
const CONVINCING_REFUSALS = 3;
/**
 * While no more than this part of a worker's ports towards one endpoint is in TIME_WAIT, the kernel finds a
 * free port quickly.
 */
const CROWDED_SHARE = 1 / 4;

/**
 * The ports that a worker may bind by number: its part of every second local port. A connect without a bind
 * looks at the ports of the other parity first (__inet_hash_connect), so other programs still find free
 * ports.
 *
 * @param ports the node's local ports (lib/sys/portrange.ts)
 */
export function portsToReuse(ports: readonly number[], worker: number, workers: number): Uint16Array {
  const own = ports.filter((port) => {
    const place = port - ports[0];
    return place % 2 === 1 && (place >> 1) % workers === worker;
  });
  return Uint16Array.from(own);
}

/**
 * The local ports towards one endpoint whose connections this side ends first. That leaves each port in
 * TIME_WAIT for a minute.
 *
 * A connect without a bind uses no port that is in TIME_WAIT, so after 28,232 connections in a minute the
 * kernel has no port left. A socket that is bound to a port by number may take over the port's TIME_WAIT if
 * both sides have timestamps, whatever net.ipv4.tcp_tw_reuse says (tcp_twsk_unique in net/ipv4/tcp_ipv4.c,
 * `!twp`). So few ports are enough.
 */
export class ReusedPorts {
  /** Until this time (loop clock, ms) it is useless to look for a port. */
  exhaustedUntil = Number.NEGATIVE_INFINITY;
  readonly #ports: Uint16Array;
  /** Index of the next port that was never used. */
  #nextUnused = 0;
  /** The ports that rest, each with the end of its last connection, the longest ago first. */
  readonly #resting = new Map<number, number>();
  #taken = 0;
  #isReused = false;
  #refusals = 0;
  #minuteBegan = Number.NEGATIVE_INFINITY;
  #closes = 0;
  #closesBefore = 0;

  /** @param ports see {@link portsToReuse} */
  constructor(ports: Uint16Array) {
    this.#ports = ports;
  }

  /** Notes that this side has ended a connection first. */
  noteClose(now: number): void {
    this.#startMinute(now);
    this.#closes++;
  }

  /** Whether so many ports are in TIME_WAIT that the kernel finds no free one, or not quickly. */
  isCrowded(now: number): boolean {
    this.#startMinute(now);
    return this.#closes + this.#closesBefore >= this.#threshold;
  }

  /** Notes that the kernel has found no free port. */
  setCrowded(now: number): void {
    this.#startMinute(now);
    this.#closes = Math.max(this.#closes, this.#threshold);
  }

  /** Whether no port is in use, and none is in TIME_WAIT any more. */
  isForgotten(now: number): boolean {
    return this.#taken === 0 && now - this.#minuteBegan >= 2 * TIME_WAIT_MS;
  }

  /** @returns a port to bind, or 0 if none is left */
  take(now: number): number {
    let port = this.#rested(now - this.#rest);
    this.#isReused = port !== 0;
    if (port === 0 && this.#nextUnused < this.#ports.length) port = this.#ports[this.#nextUnused++];
    // No other port is free: take one that has not rested. Timestamps tell the two connections apart.
    if (port === 0 && this.#rest === SHORT_REST_MS) port = this.#rested(now);
    if (port !== 0) this.#taken++;
    return port;
  }

  /** The port taken last was free. */
  accepted(): void {
    if (this.#isReused) this.#refusals = 0;
  }

  /** The port taken last is in TIME_WAIT, and the kernel has not reused it. */
  refused(port: number, now: number): void {
    if (this.#isReused) this.#refusals++;
    this.giveBack(port, now);
  }

  /** The connection from a port has ended, or never began because another program has the port. */
  giveBack(port: number, now: number): void {
    this.#taken--;
    this.#resting.set(port, now);
  }

  get #rest(): number {
    return this.#refusals < CONVINCING_REFUSALS ? SHORT_REST_MS : TIME_WAIT_MS;
  }

  get #threshold(): number {
    // #ports is every second one of the worker's ports.
    return this.#ports.length * 2 * CROWDED_SHARE;
  }

  #startMinute(now: number): void {
    const passed = now - this.#minuteBegan;
    if (passed < TIME_WAIT_MS) return;
    this.#closesBefore = passed < 2 * TIME_WAIT_MS ? this.#closes : 0;
    this.#closes = 0;
    this.#minuteBegan = now;
    this.#refusals = 0;
  }

  #rested(since: number): number {
    for (const [port, endedAt] of this.#resting) {
      if (endedAt > since) return 0;
      this.#resting.delete(port);
      return port;
    }
    return 0;
  }
}
