import { AF_INET, AF_INET6 } from '../constants.js';
import { ENOENT, SysError } from '../errno.js';
import { atOnce, Exchange, type Steps } from './exchange.js';
import {
  CTA_TUPLE_ORIG,
  decodeFlow,
  encodeFlow,
  encodeIdentity,
  type Flow,
  type TrackedFlow,
} from './flow.js';
import { encodeFilter, type FlowFilter, matches } from './flowfilter.js';
import { encodeRequest, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './messages.js';
import { netfilterHeader } from './nfnetlink.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';
import { addressFamilyOf, encodeTuple, type Tuple } from './tuple.js';

/** linux/netfilter/nfnetlink_conntrack.h: enum cntl_msg_types; the upper byte is NFNL_SUBSYS_CTNETLINK. */
const CT_NEW = 0x100;
const CT_GET = 0x101;
const CT_DELETE = 0x102;
const CT_GET_STATS = 0x105;

const FAMILY_NUMBER = { IPv4: AF_INET, IPv6: AF_INET6 } as const;

/**
 * A conversation with the kernel about tracked connections (nf_conntrack_netlink; CAP_NET_ADMIN). Calls must
 * not overlap: one that begins before the steps of another have ended is refused with EBUSY.
 */
export class ConntrackSocket {
  readonly #exchange = new Exchange(() => new NetlinkSocket(NETLINK_NETFILTER));

  private constructor() {}

  /** @throws SysError where the kernel has no such interface or this process may not use it */
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
   * The flow with an original tuple; null where there is none.
   * @throws SysError
   */
  get(original: Tuple): TrackedFlow | null {
    const key = encodeTuple(CTA_TUPLE_ORIG, original, original.zone);
    try {
      return decodeFlow(this.#exchange.ask(encodeRequest(CT_GET, 0, headerFor(original), key)));
    } catch (error) {
      if (error instanceof SysError && error.code === ENOENT) return null;
      throw error;
    }
  }

  /**
   * Makes the kernel track a flow and translate its packets. At least one rule of a nat table must be in the
   * network namespace, else nothing is translated.
   *
   * @param flow its status must have the bit `confirmed`
   * @throws SysError: EEXIST where one of its tuples is tracked already, ENOMEM where the table is full
   */
  create(flow: Flow): void {
    const flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    const request = encodeRequest(CT_NEW, flags, headerFor(flow.original), ...encodeFlow(flow));
    const [code] = atOnce(this.#exchange.change([request]));
    if (code !== 0) throw new SysError('conntrack entry', code);
  }

  /**
   * Makes the kernel forget flows; the next packet of one starts it anew, and meets the rules of that time.
   * @returns how many were forgotten: others had ended by themselves
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
   * The TCP and UDP flows of a family that agree with a filter and for which `isWanted` holds. Costs one look
   * at each flow of the family, by the kernel where it knows the filter (Linux 5.8).
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

  close(): void {
    this.#exchange.close();
  }
}

function headerFor({ source }: Tuple): Uint8Array {
  return netfilterHeader(addressFamilyOf(source.address));
}
