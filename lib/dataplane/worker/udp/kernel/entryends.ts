import { SysError } from '../../../../sys/errno.js';
import type { ConntrackSocket } from '../../../../sys/netlink/conntrack.js';
import type { TrackedFlow } from '../../../../sys/netlink/flow.js';
import type { FlowFilter } from '../../../../sys/netlink/flowfilter.js';
import type { Steps } from '../../../../sys/netlink/steps.js';
import { type AddressPort, endOf } from '../../../../sys/netlink/tuple.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import type { Task } from '../../loop.js';
import type { Target } from '../../target.js';

/** Which entries end: those of clients of these VIPs. */
export interface EndedEntries {
  readonly isV6: boolean;
  readonly vips: readonly { readonly address: string; readonly port: number }[];
  /** Only entries that lead to these endpoints; null: all. */
  readonly targets: readonly Target[] | null;
}

/**
 * Ends entries of this worker's carried UDP flows, so that their next datagrams come to the listener. The
 * table of tracked flows is read in steps of one message each; the worker relays between them. What is asked
 * for while the table is read ends with the next reading.
 */
export class EntryEnds implements Task {
  #waiting: EndedEntries[] = [];
  #steps: Steps<void> | null = null;

  /** @param mark mark and mask of this worker's entries */
  constructor(
    readonly conntrack: ConntrackSocket,
    readonly mark: { readonly value: number; readonly mask: number },
  ) {}

  get deadline(): number {
    return this.#steps === null && this.#waiting.length === 0 ? Number.POSITIVE_INFINITY : 0;
  }

  expire(): void {
    this.#steps ??= this.#endWaiting();
    try {
      if (this.#steps.next().done) this.#steps = null;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#steps = null;
    }
  }

  add(ended: EndedEntries): void {
    if (ended.vips.length > 0 && ended.targets?.length !== 0) this.#waiting.push(ended);
  }

  *#endWaiting(): Steps<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const family of ['IPv4', 'IPv6'] as const) {
      const ofFamily = waiting.filter(({ isV6 }) => isV6 === (family === 'IPv6'));
      if (ofFamily.length === 0) continue;
      const routes = new Routes(ofFamily);
      const filter = { mark: this.mark, ...routes.filter };
      const flows = yield* this.conntrack.list(family, filter, (flow) => routes.has(flow));
      yield* this.conntrack.delete(flows);
    }
  }
}

/** The pairs of VIP and endpoint whose entries end. */
class Routes {
  readonly #pairs = new Set<string>();
  readonly #vips = new Set<string>();
  readonly #ends: AddressPort[] = [];

  constructor(all: readonly EndedEntries[]) {
    for (const { vips, targets } of all) {
      const ends = targets?.map(({ address }) => endOf(address)) ?? null;
      if (ends !== null) this.#ends.push(...ends);
      for (const vip of vips) {
        const key = keyOf(endOf(SocketAddress.of(vip.address, vip.port)));
        if (ends === null) this.#vips.add(key);
        else for (const end of ends) this.#pairs.add(key + keyOf(end));
      }
    }
  }

  /** What the kernel can compare: the endpoint, if there is only one. */
  get filter(): FlowFilter {
    const [end] = this.#ends;
    const isOnlyOne = this.#vips.size === 0 && this.#ends.length === 1;
    return { reply: { protocol: 'UDP', ...(isOnlyOne && end !== undefined && { source: end }) } };
  }

  has({ original, reply }: TrackedFlow): boolean {
    const vip = keyOf(original.destination);
    return this.#vips.has(vip) || this.#pairs.has(vip + keyOf(reply.source));
  }
}

/** All keys of one family have the same length, so two of them in a row are unambiguous. */
function keyOf({ address, port }: AddressPort): string {
  return `${String.fromCharCode(port)}${Buffer.from(address).toString('latin1')}`;
}
