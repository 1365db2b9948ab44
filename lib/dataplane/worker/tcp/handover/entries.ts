import { IPPROTO_TCP } from '../../../../sys/constants.js';
import { EEXIST, errnoName } from '../../../../sys/errno.js';
import { TCP_STATE, type TrackedFlow } from '../../../../sys/netlink/flow.js';
import type { FlowReader } from '../../../../sys/netlink/flowreader.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import { endOf } from '../../../../sys/netlink/tuple.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { sourceFor } from '../../kernel/masquerade.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { CarriedVip } from '../../kernel/viptable.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { Ends } from './queuedsyn.js';
import type { SavedSyns } from './savedsyns.js';
import type { Slot } from './synkeys.js';

/** The kernel itself lets a SYN open these again (tcp_conntracks in nf_conntrack_proto_tcp.c). */
const REUSABLE: ReadonlySet<number> = new Set([TCP_STATE.timeWait, TCP_STATE.close]);

/**
 * Makes the entries of TCP connections in the kernel's table of tracked flows. A SYN without an entry goes on
 * to the redirect, so its client is relayed.
 */
export class TcpEntries {
  readonly #tools: KernelTools;
  readonly #saved: SavedSyns;
  readonly #report: (event: DataplaneEvent) => void;
  readonly #onSilence: (target: Target) => void;
  readonly #ends: Ends = { client: new SocketAddress(), vip: new SocketAddress() };
  /** By position in the batch: the SYN. */
  readonly #slots: Int32Array;
  /** By position of a look-up: whether another entry may take the place of the one that is there. */
  readonly #isReusable: Uint8Array;

  /**
   * @param report takes events for the log
   * @param onSilence see AnswerChecks.handedOver
   */
  constructor(
    tools: KernelTools,
    saved: SavedSyns,
    report: (event: DataplaneEvent) => void,
    onSilence: (target: Target) => void,
  ) {
    this.#tools = tools;
    this.#onSilence = onSilence;
    this.#saved = saved;
    this.#report = report;
    this.#slots = new Int32Array(tools.batch.capacity);
    this.#isReusable = new Uint8Array(tools.batch.capacity);
  }

  /**
   * Queues the entry by which the kernel carries a connection to its target. It does not take the place of an
   * entry that is in use: a stranger could end an open connection by a SYN that seems to come from its
   * client, and the relay may have the connection already.
   */
  queue(slot: Slot): void {
    this.#queue(slot, false);
  }

  /** Makes what is queued. SYNs that get no entry are forgotten. */
  commit(): void {
    const contested = this.#exchange();
    this.#lookUp(contested);
    let replaced = 0;
    for (let index = 0; index < contested; index++) {
      const slot = this.#slots[index];
      if (this.#isReusable[index] === 0) this.#saved.delete(slot);
      else this.#slots[replaced++] = slot;
    }
    for (let index = 0; index < replaced; index++) this.#queue(this.#slots[index], true);
    const lost = this.#exchange();
    for (let index = 0; index < lost; index++) this.#saved.delete(this.#slots[index]);
  }

  /** The entry of a connection. Null if there is none, or if the kernel does not tell. */
  find({ client, vip }: Ends): TrackedFlow | null {
    const [source, destination] = [endOf(client), endOf(vip)];
    return this.#tools.tracked.find({ protocol: 'TCP', source, destination, zone: 0 });
  }

  #queue(slot: Slot, replaces: boolean): void {
    const { batch, node, setup } = this.#tools;
    const { client, vip } = this.#ends;
    this.#saved.readEnds(slot, this.#ends);
    const target = this.#saved.targets[slot] as Target;
    const route = node.paths.to(target) as Route;
    const { masquerade } = this.#saved.vips[slot] as CarriedVip;
    const device = this.#saved.inputDeviceOf(slot);
    const source = sourceFor(client.memory.words, 0, masquerade, device, target, route, node);
    const position = replaces
      ? batch.replace(IPPROTO_TCP, client, vip, target.address, source, setup.ownMark)
      : batch.insert(IPPROTO_TCP, client, vip, target.address, source, setup.ownMark);
    this.#slots[position] = slot;
  }

  /** @returns how many entries there were before; their slots are the first ones then */
  #exchange(): number {
    const { batch } = this.#tools;
    const count = batch.size;
    if (count === 0) return 0;
    batch.commit();
    let contested = 0;
    for (let position = 0; position < count; position++) {
      const slot = this.#slots[position];
      const code = batch.codeOf(position);
      // A later SYN of the same batch may have taken its place.
      if (!this.#saved.has(slot)) continue;
      if (code === 0) this.#onEntered(slot);
      else if (code === EEXIST) this.#slots[contested++] = slot;
      else this.#onRefused(slot, code);
    }
    return contested;
  }

  #onEntered(slot: Slot): void {
    const saved = this.#saved;
    const { accounting, checks, node } = this.#tools;
    const portal = saved.portals[slot] as ServedPortal;
    const target = saved.targets[slot] as Target;
    accounting.entered(portal, target, IPPROTO_TCP);
    target.counts.total++;
    if (saved.handedAt[slot] === 0) portal.count(FIELD.connectionsTotal, 1);
    saved.handedAt[slot] = node.now();
    if (!checks.isDoubtful(portal, target)) return;
    saved.readEnds(slot, this.#ends);
    checks.start('TCP', this.#ends, portal, target, this.#onSilence);
  }

  /** The node lacks something, and will lack it for the next client too. */
  #onRefused(slot: Slot, code: number): void {
    const portal = this.#saved.portals[slot] as ServedPortal;
    const target = this.#saved.targets[slot] as Target;
    this.#saved.delete(slot);
    this.#tools.node.pause();
    this.#report({
      kind: 'notCarried',
      portal: portal.key,
      endpoint: target.name,
      reason: errnoName(code),
    });
  }

  /**
   * Looks at the entries that are in the way of the first SYNs. An entry that has ended meanwhile is not. A
   * client that connects often uses its ports again within seconds, so all are looked up together.
   */
  #lookUp(contested: number): void {
    const { lookups } = this.#tools;
    for (let index = 0; index < contested; index++) {
      this.#saved.readEnds(this.#slots[index], this.#ends);
      lookups.ask(IPPROTO_TCP, this.#ends.client, this.#ends.vip);
    }
    this.#isReusable.fill(1, 0, contested);
    if (lookups.exchange(this.#onFound) !== 0) this.#isReusable.fill(0, 0, contested);
  }

  /**
   * An own entry in SYN_SENT had no answer: its client begins anew, or its endpoint has failed. The relay's
   * entries belong to connections that the relay serves.
   */
  readonly #onFound = (position: number, { tcpState, mark }: FlowReader): void => {
    const isUnanswered = tcpState === TCP_STATE.synSent && this.#tools.isOwn(mark);
    this.#isReusable[position] = REUSABLE.has(tcpState) || isUnanswered ? 1 : 0;
  };
}
