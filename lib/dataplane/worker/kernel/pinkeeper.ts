import { conntrackSetting } from '../../../sys/conntracksettings.js';
import { AF_INET6, IPPROTO_UDP } from '../../../sys/constants.js';
import { SysError } from '../../../sys/errno.js';
import type { ConntrackSocket } from '../../../sys/netlink/conntrack.js';
import { STATUS } from '../../../sys/netlink/flow.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { Steps } from '../../../sys/netlink/steps.js';
import type { EventLoop, Task } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { VipTable } from './viptable.js';

/** ms. The kernel tells how long a flow has been idle in whole seconds: it is not asked more often. */
const MIN_PERIOD_MS = 1000;

/**
 * Keeps the pins of clients whose UDP flows the kernel carries. Nobody tells of their datagrams, so the table
 * of tracked flows is read as often as a relayed flow would refresh its pin. The entries of all workers are
 * looked at: after a restart, another worker may have the pins.
 */
export class PinKeeper implements Task {
  readonly #loop: EventLoop;
  readonly #portals: VipTable;
  readonly #conntrack: Pick<ConntrackSocket, 'visit'>;
  readonly #ownBit: number;
  #readAt = Number.POSITIVE_INFINITY;
  /** A reading of the table, one step in each turn of the loop. */
  #reading: Steps<void> | null = null;
  /** Time-outs of flows that have lasted, and of all others, seconds. Null: the kernel does not tell. */
  #timeouts: { readonly stream: number | null; readonly other: number | null } = {
    stream: null,
    other: null,
  };

  /**
   * @param portals those of UDP
   * @param conntrack for nobody else: work in steps does not overlap with other calls
   * @param ownBit the bit of a mark that entries have which the kernel carries
   */
  constructor(loop: EventLoop, portals: VipTable, conntrack: Pick<ConntrackSocket, 'visit'>, ownBit: number) {
    this.#loop = loop;
    this.#portals = portals;
    this.#conntrack = conntrack;
    this.#ownBit = ownBit;
    this.#watchAll();
    loop.addTask(this);
  }

  /** Looks after a portal's clients from now on, if they have pins. */
  watch(portal: ServedPortal): void {
    const period = periodOf(portal);
    if (period > 0) this.#readAt = Math.min(this.#readAt, this.#loop.now + period);
  }

  get deadline(): number {
    return this.#reading === null ? this.#readAt : 0;
  }

  expire(): void {
    this.#reading ??= this.#begin();
    try {
      if (!this.#reading.next().done) return;
    } catch (error) {
      // The kernel is short of memory. The next reading comes before the pins end.
      if (!(error instanceof SysError)) throw error;
    }
    this.#reading = null;
    this.#readAt = Number.POSITIVE_INFINITY;
    this.#watchAll();
  }

  #watchAll(): void {
    for (const portal of this.#portals.portals()) this.watch(portal);
  }

  #begin(): Steps<void> {
    this.#timeouts = {
      stream: conntrackSetting('udp_timeout_stream'),
      other: conntrackSetting('udp_timeout'),
    };
    return this.#conntrack.visit([this.#ownBit], this.#ownBit, (flow) => this.#keep(flow));
  }

  #keep(flow: FlowReader): void {
    if (flow.protocol !== IPPROTO_UDP) return;
    const { vip, client } = flow;
    const { words } = client.memory;
    const portal = this.#portals.find(vip, vip.family === AF_INET6)?.portal.forClient(words, 0) ?? null;
    if (portal === null || this.#idleTimeOf(flow) > periodOf(portal)) return;
    const key = portal.balancer.keyOf(words, 0, null);
    if (key !== null) portal.balancer.refresh(key);
  }

  /** Milliseconds since the last packet, which has set the time-out. 0 if it is not known. */
  #idleTimeOf({ status, timeout }: FlowReader): number {
    const { stream, other } = this.#timeouts;
    const limit = (status & STATUS.assured) === 0 ? other : stream;
    return limit === null || timeout === null ? 0 : (limit - timeout) * 1000;
  }
}

/** Time between two readings for a portal, ms. 0: its clients have no pins. */
function periodOf({ balancer: { refreshPeriod } }: ServedPortal): number {
  return refreshPeriod === 0 ? 0 : Math.max(refreshPeriod, MIN_PERIOD_MS);
}
