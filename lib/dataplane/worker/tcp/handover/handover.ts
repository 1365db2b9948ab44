import { STATUS } from '../../../../sys/netlink/flow.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { Failover } from '../../failover.js';
import { type Ends, NO_SLOT, type Slot } from '../../kernel/endskeys.js';
import { reachable } from '../../kernel/reachable.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { EventLoop } from '../../loop.js';
import type { PinKey } from '../../pinkey.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import { TcpEntries } from './entries.js';
import type { QueuedSyn } from './queuedsyn.js';
import { SavedSyns } from './savedsyns.js';
import { SilenceProbes } from './silenceprobes.js';
import { SynSender } from './synsender.js';

/** A SYN that comes again before this time has passed was doubled on its way, ms: no TCP is so impatient. */
const DOUBLED_MS = 200;

/** Decides where TCP connections go that the kernel carries: for each SYN, and when an endpoint fails it. */
export class TcpHandover {
  readonly saved = new SavedSyns();
  readonly entries: TcpEntries;
  readonly sender: SynSender;

  readonly #probes: SilenceProbes;

  /** @param report takes events for the log */
  constructor(
    loop: EventLoop,
    readonly tools: KernelTools,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    const onSilence = (target: Target) => this.sender.relayClientsOf(target);
    this.entries = new TcpEntries(tools, this.saved, report, onSilence);
    this.sender = new SynSender(tools, this.saved, this.entries);
    this.#probes = new SilenceProbes(loop, (portal, target) => this.#onDead(portal, target));
  }

  /**
   * Queues what becomes of a SYN.
   * @returns whether it may go on, after the entries are committed. False: it was doubled on its way. It must
   *   not go on, because the entry of the first one may be gone by then, if its endpoint refuses it
   */
  decide(syn: QueuedSyn): boolean {
    const slot = this.saved.find(syn);
    if (slot === NO_SLOT) this.#begin(syn);
    else if (this.saved.sequenceOf(slot) !== syn.sequence) this.#beginInstead(syn, slot);
    else return this.#decideAgain(syn, slot);
    return true;
  }

  /**
   * Queues that another endpoint gets a client whose endpoint has failed before it answered.
   * @param ends of the connection
   * @param reason for the log
   * @param isForAll whether the endpoint fails for all other clients too
   * @returns false if no other endpoint is left
   */
  moveOn(slot: Slot, { client }: Ends, reason: string, isForAll: boolean): boolean {
    const portal = this.saved.portals[slot] as ServedPortal;
    const { now } = this.tools.node;
    this.saved.failovers[slot] ??= this.#failover(
      portal,
      portal.balancer.keyOf(client.memory.words, 0, null),
    );
    const failover = this.saved.failovers[slot];
    const next = failover.next(this.saved.targets[slot] as Target, reason, now(), isForAll);
    const target = reachable(next, () => failover, this.tools.node);
    if (target === null) return false;
    (this.saved.targets[slot] as Target).counts.moved++;
    this.saved.targets[slot] = target;
    this.entries.queue(slot);
    return true;
  }

  /** Another connection has the addresses and ports of one that was handed over. */
  #beginInstead(syn: QueuedSyn, slot: Slot): void {
    this.saved.delete(slot);
    this.#begin(syn);
  }

  #begin(syn: QueuedSyn): void {
    const { words } = syn.client.memory;
    const vip = this.tools.vips.TCP.find(syn.vip, syn.isV6);
    // Rules of an earlier run may bring SYNs that another worker decides about by now.
    if (!vip?.portal.carried?.isHome) return;
    const portal = vip.portal.forClient(words, 0);
    // The listener refuses clients that may not use the portal, as it does with all others.
    if (!portal?.carried?.mayCarry(words, 0, this.tools.node)) return;
    const key = portal.balancer.keyOf(words, 0, null);
    const first = portal.balancer.pick(key);
    const target = reachable(first, () => this.#failover(portal, key), this.tools.node);
    if (target !== null) this.entries.queue(this.saved.add(syn, vip, portal, target));
  }

  /**
   * A client sends its SYN again where its endpoint is silent, or where the endpoint's answer was lost.
   * @returns as {@link decide}
   */
  #decideAgain(syn: QueuedSyn, slot: Slot): boolean {
    const { saved, tools } = this;
    if (saved.isOnItsWay[slot] !== 0 && syn.inputDevice === 0) {
      saved.isOnItsWay[slot] = 0;
      return true;
    }
    // 0: the first one is in the same batch.
    const handedAt = saved.handedAt[slot];
    if (handedAt === 0 || tools.node.now() - handedAt < DOUBLED_MS) return false;
    const flow = this.entries.find(syn);
    if (flow === null) this.#beginInstead(syn, slot);
    else if (tools.isOwn(flow.mark) && (flow.status & STATUS.seenReply) === 0) {
      this.#probes.start(saved.portals[slot] as ServedPortal, saved.targets[slot] as Target);
      if (!this.moveOn(slot, syn, 'no answer to one client', false)) this.#leadToRefuser(slot);
    }
    return true;
  }

  /** No endpoint is left for a client of a silent one. If one has refused it before, it shall hear that. */
  #leadToRefuser(slot: Slot): void {
    const { saved, tools } = this;
    const refuser = saved.refusers[slot];
    if (refuser === null || refuser.isRemoved || typeof tools.node.paths.to(refuser) === 'number') return;
    saved.targets[slot] = refuser;
    this.entries.queue(slot);
  }

  #onDead(portal: ServedPortal, target: Target): void {
    portal.balancer.rotation.avoid(target);
    const { key } = portal;
    this.report({ kind: 'endpointFailed', portal: key, endpoint: target.name, reason: 'no answer in time' });
  }

  #failover(portal: ServedPortal, key: PinKey | null): Failover {
    return new Failover(portal, key, this.tools.node.now(), this.report);
  }
}
