import type { PortalVip } from '../../../../portal/portal.js';
import { ConntrackSocket } from '../../../../sys/netlink/conntrack.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { EventLoop } from '../../loop.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { UdpFlow } from '../flow.js';
import type { FlowKeys } from '../flowkeys.js';
import type { ClientVip } from './clientvip.js';
import { FlowEntries } from './entries.js';
import { EntryEnds } from './entryends.js';
import { Origins } from './origins.js';
import { UdpRefusals } from './refusals.js';

/** What the kernel carries of one worker's UDP flows. */
export class UdpKernel {
  readonly entries: FlowEntries;
  readonly origins: Origins;
  readonly ends: EntryEnds;
  readonly refusals: UdpRefusals;

  /**
   * @param report takes events for the log
   * @throws SysError
   */
  constructor(
    readonly tools: KernelTools,
    loop: EventLoop,
    keys: FlowKeys,
    report: (event: DataplaneEvent) => void,
  ) {
    this.entries = new FlowEntries(keys, tools);
    this.origins = new Origins(keys, tools.tracked);
    this.ends = new EntryEnds(ConntrackSocket.open(), tools.setup);
    this.refusals = new UdpRefusals(tools, this.entries, this.ends, report);
    loop.addTask(this.ends);
  }

  /** Makes the client's datagrams come to the listener, because a flow that was taken over gets a socket. */
  bringBack(flow: UdpFlow): void {
    if (!flow.isCarried) return;
    this.entries.bringBack(flow, flow.vip as ClientVip);
    flow.isCarried = false;
    this.tools.batch.commit();
  }

  /**
   * A portal has a new version. What the kernel carries to endpoints that are gone gets other ones.
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

  /** All flows to a portal begin anew, because other clients may use it now. */
  recall({ carried, isV6 }: ServedPortal): void {
    if (carried !== null) this.ends.add({ isV6, vips: carried.vips, targets: null, mayAnswer: false });
  }
}
