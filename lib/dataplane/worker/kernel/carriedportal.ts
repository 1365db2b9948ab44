import { isLoopback } from '../../../net/address.js';
import type { PortalVip } from '../../../portal/portal.js';
import { SocketAddress } from '../../../sys/sockaddr.js';
import { addressAt } from '../../../sys/sockaddrwords.js';
import type { Rotation } from '../rotation.js';
import type { Target } from '../target.js';
import { AddressTable } from './addresstable.js';
import type { KernelNode } from './node.js';

/** A judgement without another end is made again after this time, ms. */
const JUDGEMENT_MS = 10_000;

const cell = new SocketAddress();

/** What the kernel may carry of one portal. It is asked before a pick, so that no turn is lost. */
export class CarriedPortal {
  /** All addresses and ports of its clients. */
  vips: readonly PortalVip[] = [];
  /** Whether this worker decides about first packets to them. */
  isHome = false;
  readonly #rotation: Rotation;
  readonly #isV6: boolean;
  #targets: readonly Target[] | null = null;
  /** Null: no client has come yet. With thousands of portals, the tables would take most of the memory. */
  #endpoints: AddressTable<true> | null = null;
  #version = -1;
  #judgedUntil = Number.NEGATIVE_INFINITY;
  /** Whether all endpoints can be carried to. The balancer may pick each of them. */
  #isWhole = false;
  #isCertain = false;

  constructor(rotation: Rotation, isV6: boolean) {
    this.#rotation = rotation;
    this.#isV6 = isV6;
  }

  /**
   * Whether the kernel may carry a client, to whichever endpoint.
   * @param client its sockaddr begins at word `at`
   */
  mayCarry(client: Int32Array, at: number, node: KernelNode): boolean {
    const now = node.now();
    const { targets } = this.#rotation;
    if (targets !== this.#targets) this.#readEndpoints(targets);
    if (this.#version !== node.version || now >= this.#judgedUntil) this.#judge(targets, node, now);
    if (!this.#isWhole || targets.length === 0 || node.isPaused) return false;
    // A pod that reaches itself: most bridges send no packet back by the port of its arrival.
    return this.#endpoints?.find(client, at, 0) === undefined && !isOfOneHost(client, at, this.#isV6);
  }

  /**
   * Whether nothing is known that forbids packets to an endpoint, or its answers. With UDP this cannot be
   * tried out: conntrack sees an answer before the chain FORWARD drops it. To be asked after
   * {@link mayCarry}.
   */
  get isCertain(): boolean {
    return this.#isCertain;
  }

  #readEndpoints(targets: readonly Target[]): void {
    this.#targets = targets;
    this.#version = -1;
    const endpoints = new AddressTable<true>(this.#isV6);
    this.#endpoints = endpoints;
    for (const { endpoint } of targets) {
      endpoints.set(cell.set(endpoint.address, 0).memory.words, 0, 0, true);
    }
  }

  #judge(targets: readonly Target[], node: KernelNode, now: number): void {
    this.#version = node.version;
    this.#judgedUntil = now + JUDGEMENT_MS;
    const forwarding = node.forwards(this.#isV6);
    this.#isWhole = targets.every((target) => canCarryTo(target, forwarding !== 'off', node, now));
    this.#isCertain = forwarding === 'forwards' || targets.every((target) => node.paths.isLocal(target));
  }
}

/**
 * Packets of other hosts never leave for loopback addresses, and a node that does not forward delivers to its
 * own addresses only.
 */
function canCarryTo(target: Target, isForwarding: boolean, node: KernelNode, now: number): boolean {
  if (isLoopback(target.endpoint.address) || target.reach?.hasFailed(now)) return false;
  return isForwarding || node.paths.isLocal(target);
}

/**
 * Whether an address means another host on every host, or on every link: the packets of such clients cannot
 * be forwarded. 127.0.0.0/8, ::1 and fe80::/10.
 */
function isOfOneHost(sockaddr: Int32Array, at: number, isV6: boolean): boolean {
  const first = addressAt(at, isV6);
  if (!isV6) return (sockaddr[first] & 0xff) === 127;
  if ((sockaddr[first] & 0xc0ff) === 0x80fe) return true;
  const isZero = sockaddr[first] === 0 && sockaddr[first + 1] === 0 && sockaddr[first + 2] === 0;
  return isZero && sockaddr[first + 3] === 1 << 24;
}
