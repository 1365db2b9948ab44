import { ownBit } from '../../../portal/carrier.js';
import { AF_INET, AF_INET6 } from '../../../sys/constants.js';
import { EAFNOSUPPORT, SysError } from '../../../sys/errno.js';
import { PacketInjector } from '../../../sys/injector.js';
import { isKernelAtLeast } from '../../../sys/kernelversion.js';
import { FlowBatch } from '../../../sys/netlink/flowbatch.js';
import { FlowLookups } from '../../../sys/netlink/flowlookups.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import type { SocketAddress } from '../../../sys/sockaddr.js';
import type { CarrierSetup } from '../../shared/carrier.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import type { Accounting } from './accounting.js';
import { AnswerChecks } from './answerchecks.js';
import { KernelNode } from './node.js';
import { Paths } from './paths.js';
import { TrackedEntries } from './trackedentries.js';
import type { Vips } from './viptable.js';

/** The mark of entries that are none of ours. */
const NO_MARK = 0;

/** What a worker hands clients over to the kernel with, those of TCP and of UDP. */
export class KernelTools {
  /** Whoever queues something commits it before it returns to the loop. */
  readonly batch: FlowBatch;
  /** Has room for as many flows as {@link batch}. Whoever asks waits for the answers. */
  readonly lookups: FlowLookups;
  readonly tracked: TrackedEntries;
  readonly node: KernelNode;
  readonly checks: AnswerChecks;
  /** Whether a first datagram may go on to its endpoint beside the entry of its flow, see DatagramJudge. */
  readonly resolvesClashes = isKernelAtLeast(5, 7);
  readonly #injectors: Readonly<Record<'v4' | 'v6', PacketInjector>>;
  readonly #ownBit: number;

  /**
   * @param accounting is told of each entry that is made
   * @param now the loop's clock, ms
   * @param report takes events for the log
   * @throws SysError if this process may not change tracked flows or send raw packets, or the kernel cannot;
   *   what was opened then stays open until the process ends
   */
  constructor(
    readonly setup: CarrierSetup,
    readonly vips: Vips,
    readonly accounting: Accounting,
    now: () => number,
    report: (event: DataplaneEvent) => void,
  ) {
    const v4 = PacketInjector.open(AF_INET);
    this.#injectors = { v4, v6: openV6() ?? v4 };
    this.batch = FlowBatch.open();
    this.lookups = FlowLookups.open(this.batch.capacity);
    this.tracked = new TrackedEntries();
    this.node = new KernelNode(new Paths(now), setup, now);
    this.checks = new AnswerChecks(this.tracked, this.node, report);
    this.#ownBit = ownBit(setup.ownMask);
  }

  /** Whoever collects packets sends them before it returns to the loop. */
  injectorFor(isV6: boolean): PacketInjector {
    return isV6 ? this.#injectors.v6 : this.#injectors.v4;
  }

  /**
   * Queues that a client's packets come to the listener, as if the redirect had just decided about them.
   * @param listener null if no redirect is needed, because the client uses an address of the listener
   * @returns position in the batch
   */
  bringBack(
    protocol: FlowProtocol,
    client: SocketAddress,
    vip: SocketAddress,
    listener: SocketAddress | null,
  ): number {
    return listener === null
      ? this.batch.end(protocol, client, vip)
      : this.batch.replace(protocol, client, vip, listener, null, NO_MARK);
  }

  /** Whether an entry with this mark was made by a worker of kube-portal. */
  isOwn(mark: number): boolean {
    return (mark & this.#ownBit) !== 0;
  }
}

/** Null if the kernel has no IPv6: then there are no such packets either. */
function openV6(): PacketInjector | null {
  try {
    return PacketInjector.open(AF_INET6);
  } catch (error) {
    if (error instanceof SysError && error.code === EAFNOSUPPORT) return null;
    throw error;
  }
}
