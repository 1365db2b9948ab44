import { ownBit } from '../../../portal/carrier.js';
import { AF_INET, AF_INET6 } from '../../../sys/constants.js';
import { EAFNOSUPPORT, SysError } from '../../../sys/errno.js';
import { PacketInjector } from '../../../sys/injector.js';
import { ConntrackSocket } from '../../../sys/netlink/conntrack.js';
import { FlowBatch } from '../../../sys/netlink/flowbatch.js';
import { FlowLookups } from '../../../sys/netlink/flowlookups.js';
import type { CarrierSetup } from '../../shared/carrier.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import type { Accounting } from './accounting.js';
import { AnswerChecks } from './answerchecks.js';
import { KernelNode } from './node.js';
import { Paths } from './paths.js';

/** What a worker hands clients over to the kernel with, those of TCP and of UDP. */
export class KernelTools {
  /** Whoever queues something commits it before it returns to the loop. */
  readonly batch: FlowBatch;
  /** Has room for as many flows as {@link batch}. Whoever asks waits for the answers. */
  readonly lookups: FlowLookups;
  readonly conntrack: ConntrackSocket;
  readonly node: KernelNode;
  readonly checks: AnswerChecks;
  /** Whoever collects packets sends them before it returns to the loop. */
  readonly injectors: Readonly<Record<'v4' | 'v6', PacketInjector>>;
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
    readonly accounting: Accounting,
    now: () => number,
    report: (event: DataplaneEvent) => void,
  ) {
    const v4 = PacketInjector.open(AF_INET);
    this.injectors = { v4, v6: openV6() ?? v4 };
    this.batch = FlowBatch.open();
    this.lookups = FlowLookups.open(this.batch.capacity);
    this.conntrack = ConntrackSocket.open();
    this.node = new KernelNode(new Paths(now), setup, now);
    this.checks = new AnswerChecks(this.conntrack, this.node, report);
    this.#ownBit = ownBit(setup.ownMask);
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
