import type { SnapshotDiff } from '../model/diff.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal } from '../portal/portal.js';

/**
 * The port numbers that clients of this node know: NodePorts, the Services' own ports, and those that the
 * program answers on itself. TCP and UDP have numbers of their own, the two families share them.
 */
export class PublicPorts {
  readonly #nodePorts = new Users();
  readonly #vipPorts = new Users();
  #own: ReadonlySet<number> = new Set();
  /** Whether {@link isNodes} may be true of a proxy port by now. Who has looked sets it to false. */
  haveGrown = false;

  /** Takes what a change of the portals brings and takes away. */
  update({ added, changed, removed }: SnapshotDiff): void {
    const gone = [...removed, ...changed.map((change) => change.before)];
    const come = [...added, ...changed.map((change) => change.after)];
    const isFresh = ({ protocol, nodePort }: Portal) =>
      nodePort !== null && !this.isNodePort(protocol, nodePort);
    if (come.some(isFresh)) this.haveGrown = true;
    for (const portal of gone) this.#count(portal, -1);
    for (const portal of come) this.#count(portal, 1);
  }

  /** @param own TCP ports of the program itself, of all of its servers */
  setOwn(own: readonly number[]): void {
    const before = this.#own;
    this.#own = new Set(own);
    if (own.some((port) => !before.has(port))) this.haveGrown = true;
  }

  /** Whether somebody may come to this port on the node's own addresses: a proxy port must be another one. */
  isNodes(protocol: Protocol, port: number): boolean {
    return this.isNodePort(protocol, port) || this.isOwn(protocol, port);
  }

  isNodePort(protocol: Protocol, port: number): boolean {
    return this.#nodePorts.has(protocol, port);
  }

  /** Whether one of the program's own servers answers there. */
  isOwn(protocol: Protocol, port: number): boolean {
    return protocol === 'TCP' && this.#own.has(port);
  }

  /** Whether a Service has this port on an address of its own. */
  isVipPort(protocol: Protocol, port: number): boolean {
    return this.#vipPorts.has(protocol, port);
  }

  #count({ protocol, nodePort, vips }: Portal, step: 1 | -1): void {
    if (nodePort !== null) this.#nodePorts.count(protocol, nodePort, step);
    for (const { port } of vips) this.#vipPorts.count(protocol, port, step);
  }
}

/** How many portals use a number. */
class Users {
  readonly #counts = { TCP: new Map<number, number>(), UDP: new Map<number, number>() };

  has(protocol: Protocol, port: number): boolean {
    return this.#counts[protocol].has(port);
  }

  count(protocol: Protocol, port: number, step: 1 | -1): void {
    const counts = this.#counts[protocol];
    const count = (counts.get(port) ?? 0) + step;
    if (count === 0) counts.delete(port);
    else counts.set(port, count);
  }
}
