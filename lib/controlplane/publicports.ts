import type { SnapshotDiff } from '../model/diff.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal } from '../portal/portal.js';

/**
 * The public ports of this node: NodePorts, ports of Services, and ports of kube-portal's own servers. TCP
 * and UDP have separate numbers. The two IP families share them.
 */
export class PublicPorts {
  readonly #nodePorts = new PortCounts();
  readonly #vipPorts = new PortCounts();
  #own: ReadonlySet<number> = new Set();
  /**
   * Whether {@link isPublicOnNode} may have become true for a proxy port. Who checks this sets it to false.
   */
  haveGrown = false;

  /** Counts the ports that a change of the portals adds and removes. */
  update({ added, changed, removed }: SnapshotDiff): void {
    const gone = [...removed, ...changed.map((change) => change.before)];
    const come = [...added, ...changed.map((change) => change.after)];
    const isFresh = ({ protocol, nodePort }: Portal) =>
      nodePort !== null && !this.isNodePort(protocol, nodePort);
    if (come.some(isFresh)) this.haveGrown = true;
    for (const portal of gone) this.#count(portal, -1);
    for (const portal of come) this.#count(portal, 1);
  }

  /** @param own TCP ports of kube-portal's own servers */
  setOwn(own: readonly number[]): void {
    const before = this.#own;
    this.#own = new Set(own);
    if (own.some((port) => !before.has(port))) this.haveGrown = true;
  }

  /** Whether clients may use this port on the node's own addresses. Then it must not be a proxy port. */
  isPublicOnNode(protocol: Protocol, port: number): boolean {
    return this.isNodePort(protocol, port) || this.isOwn(protocol, port);
  }

  isNodePort(protocol: Protocol, port: number): boolean {
    return this.#nodePorts.has(protocol, port);
  }

  /** Whether one of kube-portal's own servers has this port. */
  isOwn(protocol: Protocol, port: number): boolean {
    return protocol === 'TCP' && this.#own.has(port);
  }

  /** Whether a Service has this port on one of its VIPs. */
  isVipPort(protocol: Protocol, port: number): boolean {
    return this.#vipPorts.has(protocol, port);
  }

  #count({ protocol, nodePort, vips }: Portal, step: 1 | -1): void {
    if (nodePort !== null) this.#nodePorts.count(protocol, nodePort, step);
    for (const { port } of vips) this.#vipPorts.count(protocol, port, step);
  }
}

/** How many portals use each port. */
class PortCounts {
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
