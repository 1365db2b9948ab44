import { IPPROTO_TCP } from '../../../../sys/constants.js';
import { EEXIST, errnoName } from '../../../../sys/errno.js';
import { TCP_STATE, type TrackedFlow } from '../../../../sys/netlink/flow.js';
import type { FlowReader } from '../../../../sys/netlink/flowreader.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import { endOf } from '../../../../sys/netlink/tuple.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { Ends, Slot } from '../../kernel/endskeys.js';
import { sourceFor } from '../../kernel/masquerade.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { CarriedVip } from '../../kernel/viptable.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { SavedSyns } from './savedsyns.js';

/** The kernel itself lets a SYN open these again (tcp_conntracks in nf_conntrack_proto_tcp.c). */
const REUSABLE: ReadonlySet<number> = new Set([TCP_STATE.timeWait, TCP_STATE.close]);

/** What is in the place where the entry of a SYN is to be. */
const NOTHING = 0;
const REUSABLE_ENTRY = 1;
const ENTRY_IN_USE = 2;

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
  /** The SYNs that are to get an entry. */
  readonly #slots: Int32Array;
  /** By index of the SYN: what is there before. */
  readonly #before: Uint8Array;
  #queued = 0;
  /** How many SYNs of the last batch had another entry in their way, as far as was looked. */
  #found = 0;
  #looksFirst = false;

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
    this.#before = new Uint8Array(tools.batch.capacity);
  }

  /**
   * Queues the entry by which the kernel carries a connection to its target. It does not take the place of an
   * entry that is in use: a stranger could end an open connection by a SYN that seems to come from its
   * client, and the relay may have the connection already.
   */
  queue(slot: Slot): void {
    this.#slots[this.#queued++] = slot;
  }

  /**
   * Makes what is queued. SYNs that get no entry are forgotten.
   *
   * A client that connects often uses its ports again within seconds. If most SYNs of the last batch had
   * another entry in their way, it costs less to look at all entries before than to be refused.
   */
  commit(): void {
    const all = this.#takeQueued();
    this.#found = 0;
    const contested = this.#looksFirst ? all : this.#enter(all);
    const lost = this.#enter(this.#lookUp(contested));
    for (let index = 0; index < lost; index++) this.#saved.delete(this.#slots[index]);
    this.#looksFirst = 2 * this.#found > all;
  }

  /** The entry of a connection. Null if there is none, or if the kernel does not tell. */
  find({ client, vip }: Ends): TrackedFlow | null {
    const [source, destination] = [endOf(client), endOf(vip)];
    return this.#tools.tracked.find({ protocol: 'TCP', source, destination, zone: 0 });
  }

  /** @returns how many SYNs are queued */
  #takeQueued(): number {
    let taken = 0;
    for (let index = 0; index < this.#queued; index++) {
      const slot = this.#slots[index];
      // A later SYN of the same batch may have taken its place.
      if (this.#saved.has(slot)) this.#slots[taken++] = slot;
    }
    this.#queued = 0;
    this.#before.fill(NOTHING, 0, taken);
    return taken;
  }

  /** Makes entries for the first SYNs. @returns how many others are in the way; their SYNs come first then */
  #enter(count: number): number {
    const { batch } = this.#tools;
    for (let index = 0; index < count; index++) this.#push(index);
    batch.commit();
    let contested = 0;
    for (let index = 0; index < count; index++) {
      const slot = this.#slots[index];
      const code = batch.codeOf(index);
      // It is queued twice if it came twice, and was refused before.
      if (!this.#saved.has(slot)) continue;
      if (code === 0) this.#onEntered(slot);
      else if (code === EEXIST) this.#slots[contested++] = slot;
      else this.#onRefused(slot, code);
    }
    return contested;
  }

  #push(index: number): void {
    const { batch, node, setup } = this.#tools;
    const { client, vip } = this.#ends;
    const slot = this.#slots[index];
    this.#saved.readEnds(slot, this.#ends);
    const target = this.#saved.targets[slot] as Target;
    const route = node.paths.to(target) as Route;
    const { masquerade } = this.#saved.vips[slot] as CarriedVip;
    const device = this.#saved.inputDeviceOf(slot);
    const source = sourceFor(client.memory.words, 0, masquerade, device, target, route, node);
    if (this.#before[index] === NOTHING) {
      batch.insert(IPPROTO_TCP, client, vip, target.address, source, setup.ownMark);
    } else batch.replace(IPPROTO_TCP, client, vip, target.address, source, setup.ownMark);
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
    const reason = errnoName(code);
    this.#report({ kind: 'notCarried', portal: portal.key, endpoint: target.name, reason });
  }

  /**
   * Looks at the entries that are in the way of the first SYNs, all together. An entry that has ended
   * meanwhile is not.
   * @returns how many SYNs may have an entry; they come first then. The others are forgotten
   */
  #lookUp(count: number): number {
    const { lookups } = this.#tools;
    for (let index = 0; index < count; index++) {
      this.#saved.readEnds(this.#slots[index], this.#ends);
      lookups.ask(IPPROTO_TCP, this.#ends.client, this.#ends.vip);
    }
    if (lookups.exchange(this.#onFound) !== 0) this.#before.fill(ENTRY_IN_USE, 0, count);
    let kept = 0;
    for (let index = 0; index < count; index++) {
      const slot = this.#slots[index];
      const before = this.#before[index];
      if (before === ENTRY_IN_USE) this.#saved.delete(slot);
      else {
        this.#before[kept] = before;
        this.#slots[kept++] = slot;
      }
    }
    return kept;
  }

  /**
   * An own entry in SYN_SENT had no answer: its client begins anew, or its endpoint has failed. The relay's
   * entries belong to connections that the relay serves.
   */
  readonly #onFound = (index: number, { tcpState, mark }: FlowReader): void => {
    const isUnanswered = tcpState === TCP_STATE.synSent && this.#tools.isOwn(mark);
    this.#before[index] = REUSABLE.has(tcpState) || isUnanswered ? REUSABLE_ENTRY : ENTRY_IN_USE;
    this.#found++;
  };
}
