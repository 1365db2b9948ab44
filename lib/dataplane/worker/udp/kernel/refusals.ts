import { hostPort } from '../../../../net/hostport.js';
import { IPPROTO_UDP } from '../../../../sys/constants.js';
import { errnoName } from '../../../../sys/errno.js';
import { Memory } from '../../../../sys/memory.js';
import type { TrackedFlow } from '../../../../sys/netlink/flow.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import { type AddressPort, endOf, isSameEnd } from '../../../../sys/netlink/tuple.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Blame, blameForConnect } from '../../blame.js';
import { Failover } from '../../failover.js';
import { hopsOnward } from '../../hops.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import { reachable } from '../../kernel/reachable.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { ClientVip } from './clientvip.js';
import { isCredible } from './credibility.js';
import type { FlowEntries } from './entries.js';
import type { EntryEnds } from './entryends.js';
import { RecentFailovers } from './recentfailovers.js';

/** The longest datagram that an ICMP error may quote, bytes. */
const QUOTE_SIZE = 1500;

/**
 * Moves flows that the kernel carries away from endpoints that refuse them by an ICMP error, as FlowMover
 * does with relayed flows. The client does not see the error if the datagram in it goes to another endpoint.
 *
 * After a second flow was refused, all flows of the endpoint begin anew. Linux sends six errors
 * to one client, and then one a second, so most flows would never get one of their own.
 */
export class UdpRefusals {
  readonly #failovers: RecentFailovers;
  readonly #quote = new Memory(QUOTE_SIZE);

  /**
   * @param report takes events for the log
   */
  constructor(
    readonly tools: KernelTools,
    readonly entries: FlowEntries,
    readonly ends: EntryEnds,
    report: (event: DataplaneEvent) => void,
  ) {
    this.#failovers = new RecentFailovers(
      (portal, key) => new Failover(portal, key, tools.node.now(), report),
      tools.node.now,
    );
  }

  /** @returns whether the client must not see the error, because another endpoint has its datagram now */
  onRefused(packet: RefusedPacket): boolean {
    if (blameForConnect(packet.code) !== Blame.Endpoint) return false;
    const entry = this.#entryOf(packet);
    if (entry === null || !this.tools.isOwn(entry.mark)) return false;
    const client = sockaddrOf(entry.original.source);
    const vip = sockaddrOf(entry.original.destination);
    const carried = this.tools.vips.UDP.find(vip, packet.headers.isV6);
    if (carried === undefined || carried.portal.carried === null || carried.portal.isRtps) return false;
    const portal = carried.portal.forClient(client.memory.words, 0);
    const target = portal && targetAt(portal, entry.reply.source);
    if (portal === null || target === null || !isCredible(packet, target, this.tools.node.paths))
      return false;
    const moved = this.#move(
      client,
      { address: vip, masquerade: carried.masquerade },
      portal,
      target,
      packet.code,
    );
    return moved !== null && this.#sendQuoted(packet, client, vip, moved);
  }

  /** Blames an endpoint, and lets the entry lead to another one. @returns null if there is no other */
  #move(
    client: SocketAddress,
    vip: ClientVip,
    portal: ServedPortal,
    refusing: Target,
    code: number,
  ): Target | null {
    const { node } = this.tools;
    const name = `${hostPort(client.address, client.port)} ${hostPort(vip.address.address, vip.address.port)}`;
    const key = portal.balancer.keyOf(client.memory.words, 0, null);
    const failover = this.#failovers.of(name, portal, key);
    const isForAll = refusing.isRefusedAgain(name, node.now());
    if (isForAll) this.#bringBackFlowsTo(refusing, portal);
    const next = failover.next(refusing, errnoName(code), node.now(), isForAll);
    const other = reachable(next, () => failover, node);
    if (other === null) return null;
    portal.countMove(refusing, other);
    return this.#carry(client, vip, portal, other) ? other : null;
  }

  #bringBackFlowsTo(target: Target, { carried, isV6 }: ServedPortal): void {
    if (carried !== null) this.ends.add({ isV6, vips: carried.vips, targets: [target], mayAnswer: false });
  }

  #carry(client: SocketAddress, vip: ClientVip, portal: ServedPortal, target: Target): boolean {
    const { accounting, batch, node } = this.tools;
    const route = node.paths.to(target) as Route;
    const back = node.paths.towards(client);
    const inputDevice = typeof back === 'number' || back.isLocal ? 0 : back.device;
    const position = this.entries.carry(client, vip, target, route, inputDevice);
    batch.commit();
    if (batch.codeOf(position) !== 0) return false;
    accounting.entered(portal, target, IPPROTO_UDP);
    return true;
  }

  /** @returns whether the datagram was quoted whole, and is on its way to the endpoint */
  #sendQuoted(
    { headers, bytes }: RefusedPacket,
    client: SocketAddress,
    vip: SocketAddress,
    to: Target,
  ): boolean {
    const hops = hopsOnward(headers.hops);
    const length = headers.end - headers.payloadAt;
    if (!headers.isWhole || hops < 1 || length > QUOTE_SIZE) return false;
    for (let byte = 0; byte < length; byte++) this.#quote.bytes[byte] = bytes[headers.payloadAt + byte];
    const injector = this.tools.injectorFor(headers.isV6);
    injector.pushDatagram(client, vip, this.#quote, 0, length, hops);
    return injector.send(to.address) === 1;
  }

  /** The entry by which the refused datagram has reached the endpoint. */
  #entryOf({ headers, bytes }: RefusedPacket): TrackedFlow | null {
    const { sourceAt, destinationAt, addressLength } = headers;
    const address = (at: number) => bytes.slice(at, at + addressLength);
    return this.tools.tracked.findByReply({
      protocol: 'UDP',
      source: { address: address(destinationAt), port: headers.destinationPort },
      destination: { address: address(sourceAt), port: headers.sourcePort },
      zone: 0,
    });
  }
}

function sockaddrOf({ address, port }: AddressPort): SocketAddress {
  return new SocketAddress().setBytes(address, 0, address.length === 16, port);
}

function targetAt({ balancer }: ServedPortal, end: AddressPort): Target | null {
  const isThere = ({ address }: Target) => isSameEnd(endOf(address), end);
  return balancer.rotation.targets.find(isThere) ?? null;
}
