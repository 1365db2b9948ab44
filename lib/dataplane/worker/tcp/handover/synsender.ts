import { AF_INET6, IPPROTO_TCP } from '../../../../sys/constants.js';
import { STATUS } from '../../../../sys/netlink/flow.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { addressAt } from '../../../../sys/sockaddrwords.js';
import type { Ends, Slot } from '../../kernel/endskeys.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { CarriedVip } from '../../kernel/viptable.js';
import type { Target } from '../../target.js';
import type { TcpEntries } from './entries.js';
import type { SavedSyns } from './savedsyns.js';

/** A client sends its SYN again after this time, ms (RFC 6298): then it needs no help any more. */
const CLIENT_WAITS_MS = 1000;

/** Sends SYNs of clients again, as if they had just come from there. */
export class SynSender {
  readonly #tools: KernelTools;
  readonly #saved: SavedSyns;
  readonly #entries: TcpEntries;
  readonly #ends: Ends = { client: new SocketAddress(), vip: new SocketAddress() };

  constructor(tools: KernelTools, saved: SavedSyns, entries: TcpEntries) {
    this.#tools = tools;
    this.#saved = saved;
    this.#entries = entries;
  }

  /** Sends a SYN by its entry to its target. If this fails, its client sends it a second later. */
  sendToTarget(slot: Slot): void {
    this.#send(slot, (this.#saved.targets[slot] as Target).address);
  }

  /** An endpoint cannot be reached through the kernel: gives the clients that wait for it to the relay. */
  relayClientsOf(target: Target): void {
    const now = this.#tools.node.now();
    for (const slot of this.#saved.to(target)) {
      if (now - this.#saved.handedAt[slot] < CLIENT_WAITS_MS) this.#relay(slot);
    }
  }

  /**
   * The entry leads to the listener, as the redirect would have made it: that looks at packets of other hosts
   * only, and the SYN now comes from this one.
   */
  #relay(slot: Slot): void {
    const saved = this.#saved;
    const ends = this.#ends;
    saved.readEnds(slot, ends);
    const flow = this.#entries.find(ends);
    if (flow === null || !this.#tools.isOwn(flow.mark) || (flow.status & STATUS.seenReply) !== 0) return;
    const { batch } = this.#tools;
    const { redirectedPort } = (saved.vips[slot] as CarriedVip).portal;
    const listener = redirectedPort === null ? null : this.#listenerFor(ends.client, redirectedPort);
    this.#tools.bringBack(IPPROTO_TCP, ends.client, ends.vip, listener);
    if (batch.commit() === 0) this.#send(slot, listener ?? ends.vip);
    saved.delete(slot);
  }

  #listenerFor(client: SocketAddress, port: number): SocketAddress | null {
    const route = this.#tools.node.paths.towards(client);
    if (typeof route === 'number') return null;
    const isV6 = client.family === AF_INET6;
    return new SocketAddress().setBytes(route.source.memory.bytes, addressAt(0, isV6) * 4, isV6, port);
  }

  #send(slot: Slot, towards: SocketAddress): void {
    const saved = this.#saved;
    const length = saved.lengthOf(slot);
    if (length === 0) return;
    const injector = this.#tools.injectorFor((saved.vips[slot] as CarriedVip).portal.isV6);
    injector.pushPacket(saved.packets, saved.startOf(slot), length);
    saved.isOnItsWay[slot] = 1;
    injector.send(towards);
  }
}
