import type { PortalVip } from '../../../../portal/portal.js';
import { ConntrackSocket } from '../../../../sys/netlink/conntrack.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { EventLoop } from '../../loop.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import type { FlowTable } from '../flowtable.js';
import { FlowEntries } from './entries.js';
import { EntryEnds } from './entryends.js';
import { Handover } from './handover.js';
import { Origins } from './origins.js';
import { UdpRefusals } from './refusals.js';

/** What the kernel carries of one worker's UDP flows. */
export class UdpKernel {
  readonly handover: Handover;
  readonly ends: EntryEnds;
  readonly refusals: UdpRefusals;

  /**
   * @param relay gives a flow a carrier again, see {@link Handover}
   * @param report takes events for the log
   * @throws SysError
   */
  constructor(
    tools: KernelTools,
    loop: EventLoop,
    table: FlowTable,
    relay: (flow: UdpFlow) => void,
    report: (event: DataplaneEvent) => void,
  ) {
    const { tracked, setup } = tools;
    const entries = new FlowEntries(table.keys, tools);
    const origins = new Origins(table.keys, tracked);
    this.handover = new Handover(table, entries, origins, tools, relay, report);
    this.ends = new EntryEnds(ConntrackSocket.open(), setup);
    this.refusals = new UdpRefusals(tools, entries, this.ends, report);
    loop.addTask(this.ends);
  }

  /**
   * A portal has a new version. What the kernel carries to endpoints that are gone comes back.
   * @param vips those that the kernel carried for before
   * @param targets the endpoints before
   * @param wasRead whether all datagrams were read before: then no flow is carried from the beginning on
   */
  portalChanged(
    portal: ServedPortal,
    vips: readonly PortalVip[],
    targets: readonly Target[],
    wasRead: boolean,
  ): void {
    const { carried, isV6, isRtps } = portal;
    if (isRtps && !wasRead) this.recall(portal);
    const removed = carried === null ? null : targets.filter(({ isRemoved }) => isRemoved);
    this.ends.add({ isV6, vips, targets: removed, mayAnswer: true });
  }

  /** Lets all datagrams to a portal come to its listeners again, because other clients may use it now. */
  recall({ carried, isV6 }: ServedPortal): void {
    if (carried !== null) this.ends.add({ isV6, vips: carried.vips, targets: null, mayAnswer: false });
  }
}
