/** TCP_TIMEWAIT_LEN of the kernel (include/net/tcp.h), ms. */
export const TIME_WAIT = 60_000;
/**
 * A port rests for this long, ms, while there are others, as with net.ipv4.tcp_tw_reuse. Late packets of its
 * last connection are gone by then.
 */
const SHORT_REST = 1000;
/**
 * After this many ports in a row could not be used again though they had rested, time-stamps are off on one
 * side. A port can then be used only after its TIME_WAIT.
 */
const CONVINCING_REFUSALS = 3;
/**
 * With this part of a worker's ports of one endpoint in TIME_WAIT, the kernel's own search for a free one is
 * still quick.
 */
const CROWDED_SHARE = 1 / 4;

/**
 * The ports that a worker may bind by number: its part of every second one. A connect without a bind looks at
 * those of the other parity first (__inet_hash_connect), so other programs find theirs as before.
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
 * Local ports towards one endpoint whose connections this side ends first, which leaves each in TIME_WAIT for
 * a minute.
 *
 * The kernel's own choice (a connect without a bind) passes all of these over, and has none left at 28,232 in
 * a minute. A socket that was bound to the port by number may take its own TIME_WAIT over where both sides
 * have timestamps, whatever net.ipv4.tcp_tw_reuse says (tcp_twsk_unique in net/ipv4/tcp_ipv4.c, `!twp`), so
 * few ports are enough.
 */
export class ReusedPorts {
  /** Until then, loop clock, there is no use in looking for a port. */
  exhaustedUntil = Number.NEGATIVE_INFINITY;
  readonly #ports: Uint16Array;
  /** Place of the next one that has never been used. */
  #fresh = 0;
  /** Ports to use again and when their last connection ended, the longest ago first. */
  readonly #resting = new Map<number, number>();
  #taken = 0;
  #isUsedAgain = false;
  #refusals = 0;
  #minuteBegan = Number.NEGATIVE_INFINITY;
  #closes = 0;
  #closesBefore = 0;

  /** @param ports see {@link portsToReuse} */
  constructor(ports: Uint16Array) {
    this.#ports = ports;
  }

  /** This side ended a connection first. */
  noteClose(now: number): void {
    this.#turn(now);
    this.#closes++;
  }

  /** A port must be chosen here, as the kernel would not find one, or not quickly. */
  isCrowded(now: number): boolean {
    this.#turn(now);
    return this.#closes + this.#closesBefore >= this.#threshold;
  }

  /** The kernel found no port. */
  setCrowded(now: number): void {
    this.#turn(now);
    this.#closes = Math.max(this.#closes, this.#threshold);
  }

  /** Nothing is left of the traffic that made this necessary. */
  isForgotten(now: number): boolean {
    return this.#taken === 0 && now - this.#minuteBegan >= 2 * TIME_WAIT;
  }

  /** @returns a port to bind, or 0 where none is to be had */
  take(now: number): number {
    let port = this.#rested(now - this.#rest);
    this.#isUsedAgain = port !== 0;
    if (port === 0 && this.#fresh < this.#ports.length) port = this.#ports[this.#fresh++];
    // In need, without a rest: sequence numbers and timestamps still tell the two connections apart.
    if (port === 0 && this.#rest === SHORT_REST) port = this.#rested(now);
    if (port !== 0) this.#taken++;
    return port;
  }

  /** The port taken last is in use. */
  accepted(): void {
    if (this.#isUsedAgain) this.#refusals = 0;
  }

  /** The port taken last still belongs to a connection that has ended. */
  refused(port: number, now: number): void {
    if (this.#isUsedAgain) this.#refusals++;
    this.giveBack(port, now);
  }

  /** The connection from a port has ended, or there was none as another program has it. */
  giveBack(port: number, now: number): void {
    this.#taken--;
    this.#resting.set(port, now);
  }

  get #rest(): number {
    return this.#refusals < CONVINCING_REFUSALS ? SHORT_REST : TIME_WAIT;
  }

  get #threshold(): number {
    // These are half of the worker's.
    return this.#ports.length * 2 * CROWDED_SHARE;
  }

  #turn(now: number): void {
    const passed = now - this.#minuteBegan;
    if (passed < TIME_WAIT) return;
    this.#closesBefore = passed < 2 * TIME_WAIT ? this.#closes : 0;
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
