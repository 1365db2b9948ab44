import { AF_INET, AF_INET6 } from '../constants.js';
import { ENOENT, SysError } from '../errno.js';
import { Exchange } from './exchange.js';
import {
  CT_DELETE,
  CT_GET,
  CT_NEW,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  decodeFlow,
  encodeFlow,
  encodeIdentity,
  type Flow,
  type TrackedFlow,
} from './flow.js';
import { commonBits, encodeFilter, type FlowFilter, matches } from './flowfilter.js';
import { FlowReader } from './flowreader.js';
import { encodeRequest, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './messages.js';
import { netfilterHeader } from './nfnetlink.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';
import { atOnce, type Steps } from './steps.js';
import { addressFamilyOf, encodeTuple, isSameTuple, type Tuple } from './tuple.js';

/** linux/netfilter/nfnetlink_conntrack.h, as {@link CT_NEW}. */
const CT_GET_STATS = 0x105;

const FAMILY_NUMBER = { IPv4: AF_INET, IPv6: AF_INET6 } as const;

/**
 * Reads and changes the kernel's tracked flows (nf_conntrack_netlink; needs CAP_NET_ADMIN). Calls must not
 * overlap: a call fails with EBUSY if the steps of another call have not ended.
 */
export class ConntrackSocket {
  readonly #exchange = new Exchange(() => new NetlinkSocket(NETLINK_NETFILTER));

  private constructor() {}

  /** @throws SysError if the kernel does not have this interface, or if the process may not use it */
  static open(): ConntrackSocket {
    const conntrack = new ConntrackSocket();
    try {
      conntrack.#exchange.ask(encodeRequest(CT_GET_STATS, 0, netfilterHeader(0)));
      return conntrack;
    } catch (error) {
      conntrack.close();
      throw error;
    }
  }

  /**
   * The flow with this original tuple. Null if there is none.
   * @throws SysError
   */
  get(original: Tuple): TrackedFlow | null {
    return this.#find(CTA_TUPLE_ORIG, original, 'original');
  }

  /** As {@link get}, by the tuple of its answers. @throws SysError */
  getByReply(reply: Tuple): TrackedFlow | null {
    return this.#find(CTA_TUPLE_REPLY, reply, 'reply');
  }

  /** The kernel compares a tuple with both of a flow, whatever its type (ctnetlink_get_conntrack). */
  #find(type: number, tuple: Tuple, direction: 'original' | 'reply'): TrackedFlow | null {
    const key = encodeTuple(type, tuple, tuple.zone);
    try {
      const flow = decodeFlow(this.#exchange.ask(encodeRequest(CT_GET, 0, headerFor(tuple), key)));
      return flow !== null && isSameTuple(flow[direction], tuple) ? flow : null;
    } catch (error) {
      if (error instanceof SysError && error.code === ENOENT) return null;
      throw error;
    }
  }

  /**
   * Makes the kernel track a flow and translate its packets. The kernel translates only if the network
   * namespace has at least one rule in a nat table.
   *
   * @param flow its status must have the bit `confirmed`
   * @throws SysError: EEXIST if one of its tuples is already tracked, ENOMEM if the table is full
   */
  create(flow: Flow): void {
    const flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    const request = encodeRequest(CT_NEW, flags, headerFor(flow.original), ...encodeFlow(flow));
    const [code] = atOnce(this.#exchange.change([request]));
    if (code !== 0) throw new SysError('conntrack entry', code);
  }

  /**
   * Deletes flows from the kernel's table. The next packet of such a flow starts a new flow, which follows
   * the rules of that time.
   * @returns how many flows were deleted; the others had already ended
   * @throws SysError
   */
  *delete(flows: readonly TrackedFlow[]): Steps<number> {
    const requests = flows.map((flow) =>
      encodeRequest(CT_DELETE, NLM_F_ACK, headerFor(flow.original), ...encodeIdentity(flow)),
    );
    const codes = yield* this.#exchange.change(requests);
    const refused = codes.find((code) => code !== 0 && code !== ENOENT);
    if (refused !== undefined) throw new SysError('conntrack entry', refused);
    return codes.filter((code) => code === 0).length;
  }

  /**
   * The TCP and UDP flows of a family that match a filter and for which `isWanted` is true. Each flow of the
   * family is compared once, in the kernel if it knows the filter (Linux 5.8).
   * @throws SysError
   */
  list(
    family: keyof typeof FAMILY_NUMBER,
    filter: FlowFilter,
    isWanted: (flow: TrackedFlow) => boolean = () => true,
  ): Steps<TrackedFlow[]> {
    const header = netfilterHeader(FAMILY_NUMBER[family]);
    const request = encodeRequest(CT_GET, NLM_F_DUMP, header, ...encodeFilter(filter));
    return this.#exchange.list(request, (body) => {
      const flow = decodeFlow(body);
      return flow !== null && matches(filter, flow) && isWanted(flow) ? flow : null;
    });
  }

  /**
   * Visits the TCP and UDP flows of both families that have one of some marks. It makes no object that stays,
   * so it is cheaper than {@link list} where there are many. Flows that begin or end meanwhile may be visited
   * or not.
   * @param marks at least one
   * @param mask the bits of the marks that are compared
   * @param onFlow the flow, valid during this call only
   * @throws SysError
   */
  *visit(marks: readonly number[], mask: number, onFlow: (flow: FlowReader) => void): Steps<void> {
    const filter = encodeFilter({ mark: commonBits(marks, mask) });
    const request = encodeRequest(CT_GET, NLM_F_DUMP, netfilterHeader(0), ...filter);
    const flow = new FlowReader();
    yield* this.#exchange.list(request, (body) => {
      if (flow.readBody(body) && marks.includes((flow.mark & mask) >>> 0)) onFlow(flow);
      return null;
    });
  }

  close(): void {
    this.#exchange.close();
  }
}

function headerFor({ source }: Tuple): Uint8Array {
  return netfilterHeader(addressFamilyOf(source.address));
}
