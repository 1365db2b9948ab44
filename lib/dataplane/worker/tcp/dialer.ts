import { EADDRINUSE, EADDRNOTAVAIL, EINPROGRESS, errno } from '../../../sys/errno.js';
import { setHops } from '../../../sys/hoplimit.js';
import { bindShared, closeSocket, connect, openStream } from '../../../sys/socket.js';
import type { Target } from '../target.js';
import { ReusedPorts, TIME_WAIT_MS } from './reusedports.js';

/** One connection tries at most this many ports: other programs may have some of them. */
const MAX_PORT_TRIES = 4;
/**
 * After the kernel has found no free port, it is not asked again for this time: it looks at every port each
 * time, which takes up to 3 ms.
 */
const EXHAUSTED_PAUSE_MS = 100;

/** Opens one worker's connections to endpoints, so that local ports do not run out. */
export class Dialer {
  /** The local port that the dialer chose for the last connection; 0 if the kernel chose. */
  lastPort = 0;
  /** By endpoint: its ports, if this side ended connections to it lately. */
  readonly #endpoints = new Map<string, ReusedPorts>();
  /** Null until ports are needed. */
  #ports: Uint16Array | null = null;
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** @param readPorts see portsToReuse @param now clock in milliseconds; the loop's */
  constructor(
    readonly readPorts: () => Uint16Array,
    readonly now: () => number,
  ) {}

  /**
   * Starts to connect.
   * @param hops see hopsOnward
   * @returns the descriptor, or a negative errno; -EADDRNOTAVAIL if no local port is free now
   */
  dial(target: Target, hops: number): number {
    const ports = this.#endpoints.get(target.name);
    if (ports?.isCrowded(this.now())) return this.#dialCrowded(target, hops, ports);
    const fd = this.#attempt(target, hops, 0);
    return fd === -EADDRNOTAVAIL ? this.#dialCrowded(target, hops, this.#crowd(target)) : fd;
  }

  /**
   * Notes that a connection has ended and its descriptor is closed.
   * @param port {@link lastPort} after it was dialled
   * @param hasEndedFirst whether this side ended it first: then its port is in TIME_WAIT now
   */
  noteClose(target: Target, port: number, hasEndedFirst: boolean): void {
    if (port === 0 && !hasEndedFirst) return;
    const ports = this.#portsOf(target);
    if (hasEndedFirst) ports.noteClose(this.now());
    if (port !== 0) ports.giveBack(port, this.now());
  }

  #crowd(target: Target): ReusedPorts {
    const ports = this.#portsOf(target);
    ports.setCrowded(this.now());
    return ports;
  }

  #dialCrowded(target: Target, hops: number, ports: ReusedPorts): number {
    const now = this.now();
    for (let i = 0; i < MAX_PORT_TRIES; i++) {
      const port = ports.take(now);
      if (port === 0) break;
      const fd = this.#attempt(target, hops, port);
      if (fd >= 0) ports.accepted();
      else if (fd === -EADDRNOTAVAIL) ports.refused(port, now);
      else ports.giveBack(port, now);
      if (fd !== -EADDRNOTAVAIL && fd !== -EADDRINUSE) return fd;
    }
    if (now < ports.exhaustedUntil) return -EADDRNOTAVAIL;
    const fd = this.#attempt(target, hops, 0);
    if (fd === -EADDRNOTAVAIL) ports.exhaustedUntil = now + EXHAUSTED_PAUSE_MS;
    return fd;
  }

  /** @param port 0 lets the kernel choose @returns as {@link dial}, or -EADDRINUSE */
  #attempt({ address }: Target, hops: number, port: number): number {
    this.lastPort = port;
    const fd = openStream(address.family);
    if (fd < 0) return -errno();
    setHops(fd, address.family, hops);
    const isBound = port === 0 || bindShared(fd, address.family, port) === 0;
    if (isBound && (connect(fd, address) === 0 || errno() === EINPROGRESS)) return fd;
    const code = errno();
    closeSocket(fd);
    return -code;
  }

  #portsOf({ name }: Target): ReusedPorts {
    let ports = this.#endpoints.get(name);
    if (ports === undefined) {
      this.#sweep();
      this.#ports ??= this.readPorts();
      ports = new ReusedPorts(this.#ports);
      this.#endpoints.set(name, ports);
    }
    return ports;
  }

  /** Forgets the ports of endpoints that are no longer used, and reads the node's local ports again. */
  #sweep(): void {
    const now = this.now();
    if (now - this.#sweptAt < TIME_WAIT_MS) return;
    this.#sweptAt = now;
    this.#ports = null;
    for (const [name, ports] of this.#endpoints) if (ports.isForgotten(now)) this.#endpoints.delete(name);
  }
}
