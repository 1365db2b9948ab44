import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../constants.js';
import {
  attribute,
  endOfValue,
  findAttribute,
  message,
  NetlinkSocket,
  NLM_F_ACK,
  NLM_F_DUMP,
  valueAt,
} from './socket.js';

/** linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h; the upper byte is NFNL_SUBSYS_CTNETLINK. */
const NETLINK_NETFILTER = 12;
const CT_GET = 0x101;
const CT_DELETE = 0x102;
const CT_GET_STATS = 0x105;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_STATUS = 3;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
/** linux/netfilter/nf_conntrack_common.h: packets have been seen in both directions. */
const IPS_SEEN_REPLY = 2;

/** struct nfgenmsg: family u8, version u8, resource u16. */
const NFGENMSG_SIZE = 4;

const FAMILIES = { IPv4: AF_INET, IPv6: AF_INET6 } as const;

/** A TCP connection or UDP flow that the kernel tracks. */
export interface TrackedFlow {
  readonly protocol: 'TCP' | 'UDP';
  /** Where its client sends to: 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
  /** The port that really answers: another one where the destination is translated. */
  readonly answeringPort: number;
  /** Whether anything has come back yet. */
  readonly answered: boolean;
}

/** A conversation with the kernel about tracked connections (nf_conntrack_netlink). Calls must not overlap. */
export class ConntrackSocket {
  private constructor(private readonly netlink: NetlinkSocket) {}

  /** @throws SysError where the kernel has no such interface or this process may not use it */
  static open(): ConntrackSocket {
    const netlink = new NetlinkSocket(NETLINK_NETFILTER);
    try {
      netlink.ask(message(CT_GET_STATS, 0, generalHeader(0)));
      return new ConntrackSocket(netlink);
    } catch (error) {
      netlink.close();
      throw error;
    }
  }

  /**
   * Makes the kernel forget the flows that `isUnwanted` picks; the next packet of one starts it anew, and meets the
   * rules of that time. Costs one look at each tracked flow of the family.
   * @param isUnwanted gets a flow that is valid during the call only
   * @returns how many were forgotten
   * @throws SysError
   */
  async forget(family: keyof typeof FAMILIES, isUnwanted: (flow: TrackedFlow) => boolean): Promise<number> {
    const header = generalHeader(FAMILIES[family]);
    const requests: Uint8Array[] = [];
    await this.netlink.dump(message(CT_GET, NLM_F_DUMP, header), (body) => {
      const flow = readFlow(body);
      if (flow === null || !isUnwanted(flow)) return;
      requests.push(message(CT_DELETE, NLM_F_ACK, header, ...identityOf(body)));
    });
    const codes = await this.netlink.request(requests);
    // What is refused has ended by itself meanwhile.
    return codes.filter((code) => code === 0).length;
  }

  close(): void {
    this.netlink.close();
  }
}

function generalHeader(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

/** What tells a flow from all others, also from a later one between the same addresses and ports. */
function identityOf(body: DataView): Uint8Array[] {
  return [CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID].flatMap((type) => {
    const value = find(body, type);
    return value === 0 ? [] : [attribute(type, valueAt(body, value))];
  });
}

/** Null for other protocols than TCP and UDP. Ports are in network order. */
function readFlow(body: DataView): TrackedFlow | null {
  const original = find(body, CTA_TUPLE_ORIG);
  const layer4 = findIn(body, original, CTA_TUPLE_PROTO);
  const protocol = body.getUint8(findIn(body, layer4, CTA_PROTO_NUM));
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return null;
  const layer3 = findIn(body, original, CTA_TUPLE_IP);
  const address = findIn(body, layer3, CTA_IP_V4_DST) || findIn(body, layer3, CTA_IP_V6_DST);
  const answer = findIn(body, find(body, CTA_TUPLE_REPLY), CTA_TUPLE_PROTO);
  return {
    protocol: protocol === IPPROTO_TCP ? 'TCP' : 'UDP',
    address: valueAt(body, address),
    port: body.getUint16(findIn(body, layer4, CTA_PROTO_DST_PORT)),
    answeringPort: body.getUint16(findIn(body, answer, CTA_PROTO_SRC_PORT)),
    answered: (body.getUint32(find(body, CTA_STATUS)) & IPS_SEEN_REPLY) !== 0,
  };
}

function find(body: DataView, type: number): number {
  return findAttribute(body, NFGENMSG_SIZE, body.byteLength, type);
}

/** Within the attribute whose value starts at `parent`. */
function findIn(body: DataView, parent: number, type: number): number {
  return findAttribute(body, parent, endOfValue(body, parent), type);
}
