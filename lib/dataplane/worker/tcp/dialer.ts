import { EADDRINUSE, EADDRNOTAVAIL, EINPROGRESS, errno } from '../../../sys/errno.js';
import { setHops } from '../../../sys/hoplimit.js';
import { bindShared, closeSocket, connect, openStream } from '../../../sys/socket.js';
import type { Target } from '../target.js';
import { ReusedPorts, TIME_WAIT } from './reusedports.js';

/** Ports of ours that one connection tries: others of this node may have some of them. */
const TRIES = 4;
/**
 * The kernel looks at every port before it says that there is none, 3 ms at worst, so it is not asked again
 * so soon, ms.
 */
const PAUSE = 100;

/** Opens the connections of one worker to endpoints, and sees to it that local ports do not run out. */
export class Dialer {
  /** The port that the last connection was bound to here; 0 where the kernel chose. */
  lastPort = 0;
  /** Those that this side ended connections to lately, by name. */
  readonly #endpoints = new Map<string, ReusedPorts>();
  /** Null until they are needed. */
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
   * @returns the descriptor, or an error's number below zero; EADDRNOTAVAIL: no local port is left for now
   */
  dial(target: Target, hops: number): number {
    const ports = this.#endpoints.get(target.name);
    if (ports?.isCrowded(this.now())) return this.#dialCrowded(target, hops, ports);
    const fd = this.#attempt(target, hops, 0);
    return fd === -EADDRNOTAVAIL ? this.#dialCrowded(target, hops, this.#crowd(target)) : fd;
  }

  /**
   * A connection has ended, and its descriptor is closed.
   * @param port what {@link lastPort} was then
   * @param isFirst this side ended it first: the port is in TIME_WAIT now
   */
  hungUp(target: Target, port: number, isFirst: boolean): void {
    if (port === 0 && !isFirst) return;
    const ports = this.#portsOf(target);
    if (isFirst) ports.noteClose(this.now());
    if (port !== 0) ports.giveBack(port, this.now());
  }

  #crowd(target: Target): ReusedPorts {
    const ports = this.#portsOf(target);
    ports.setCrowded(this.now());
    return ports;
  }

  #dialCrowded(target: Target, hops: number, ports: ReusedPorts): number {
    const now = this.now();
    for (let i = 0; i < TRIES; i++) {
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
    if (fd === -EADDRNOTAVAIL) ports.exhaustedUntil = now + PAUSE;
    return fd;
  }

  /** @param port 0 lets the kernel choose @returns as {@link dial}; also EADDRINUSE */
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

  /** Forgets endpoints that are quiet, or gone; the node may have other ports by now. */
  #sweep(): void {
    const now = this.now();
    if (now - this.#sweptAt < TIME_WAIT) return;
    this.#sweptAt = now;
    this.#ports = null;
    for (const [name, ports] of this.#endpoints) if (ports.isForgotten(now)) this.#endpoints.delete(name);
  }
}
