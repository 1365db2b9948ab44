import { addressBytes } from '../../net/address.js';
import { AF_INET, AF_INET6 } from '../constants.js';
import { SysError } from '../errno.js';
import { attribute, type Encoded, malformed, nativeUint32, nested } from './attributes.js';
import { Exchange } from './exchange.js';
import { IFF_UP, IFINFOMSG_SIZE, linkHeader, RTM_GETLINK } from './linkheader.js';
import { encodeRequest, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from './messages.js';
import { NETLINK_ROUTE, NetlinkSocket } from './socket.js';
import { atOnce } from './steps.js';

/** rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/veth.h and linux/neighbour.h. */
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWNEIGH = 28;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_NET_NS_FD = 28;
const VETH_INFO_PEER = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 0x02;
const RTA_DST = 1;
const RTA_OIF = 4;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;

/** struct ndmsg: family u8, pad u8, pad u16, index i32, state u16, flags u8, type u8. */
const NDMSG_SIZE = 12;

/** One end of a pair of virtual Ethernet devices (veth(4)). */
export interface LinkEnd {
  /** At most 15 characters. */
  readonly name: string;
  /** The hardware address: 6 bytes. */
  readonly mac: readonly number[];
}

/** Makes devices in the network namespace in which it was opened. Needs CAP_NET_ADMIN. */
export class Links {
  /** @throws SysError */
  readonly #exchange = new Exchange(() => new NetlinkSocket(NETLINK_ROUTE));

  /**
   * Makes two devices that are joined by a wire.
   * @param peerNamespace descriptor of the network namespace of the second one
   * @throws SysError: EEXIST if there is a device of that name, EOPNOTSUPP if the kernel has no veth
   */
  createPair(end: LinkEnd, peer: LinkEnd, peerNamespace: number): void {
    const far = [...linkHeader(0, 0), ...describe(peer), ...nativeUint32(IFLA_NET_NS_FD, peerNamespace)];
    const info = nested(
      IFLA_LINKINFO,
      attribute(IFLA_INFO_KIND, Buffer.from('veth')),
      nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, far)),
    );
    this.#change(
      `veth ${end.name}`,
      encodeRequest(RTM_NEWLINK, CREATE, linkHeader(0, 0), describe(end), info),
    );
  }

  /** The number of a device. @throws SysError: ENODEV if there is none */
  indexOf(name: string): number {
    const request = encodeRequest(RTM_GETLINK, 0, linkHeader(0, 0), nameAttribute(name));
    const answer = this.#exchange.ask(request);
    if (answer.byteLength < IFINFOMSG_SIZE) throw malformed();
    return answer.getInt32(4, true);
  }

  /** @throws SysError */
  turnOn(index: number): void {
    this.#change('device up', encodeRequest(RTM_NEWLINK, NLM_F_ACK, linkHeader(index, IFF_UP)));
  }

  /**
   * Gives a device host addresses, without duplicate address detection. IPv4 addresses have the scope of the
   * link: the kernel does not choose them for connections to other networks. @throws SysError
   */
  addAddresses(index: number, addresses: readonly string[]): void {
    this.#changeEach('address', addresses, (bytes) => {
      const [family, bits] = [familyNumber(bytes), bytes.length * 8];
      return encodeRequest(
        RTM_NEWADDR,
        CREATE,
        [family, bits, IFA_F_NODAD, RT_SCOPE_LINK, ...u32(index)],
        attribute(IFA_LOCAL, bytes),
        attribute(IFA_ADDRESS, bytes),
      );
    });
  }

  /** Routes single addresses to a device. @throws SysError: EEXIST if an address has such a route already */
  addRoutes(index: number, addresses: readonly string[]): void {
    this.#changeEach('route', addresses, (bytes) =>
      encodeRequest(
        RTM_NEWROUTE,
        CREATE,
        routeHeader(familyNumber(bytes), bytes.length * 8),
        attribute(RTA_DST, bytes),
        nativeUint32(RTA_OIF, index),
      ),
    );
  }

  /** Routes all that has no other route to a device, in the IP family of the address. @throws SysError */
  addDefaultRoute(index: number, address: string): void {
    const header = routeHeader(familyNumber(addressBytes(address)), 0);
    this.#change('route', encodeRequest(RTM_NEWROUTE, CREATE, header, nativeUint32(RTA_OIF, index)));
  }

  /** Tells the hardware address behind addresses, so that nobody is asked for it. @throws SysError */
  addNeighbours(index: number, addresses: readonly string[], mac: readonly number[]): void {
    this.#changeEach('neighbour', addresses, (bytes) => {
      const header = new Uint8Array(NDMSG_SIZE);
      const view = new DataView(header.buffer);
      header[0] = familyNumber(bytes);
      view.setInt32(4, index, true);
      view.setUint16(8, NUD_PERMANENT, true);
      return encodeRequest(
        RTM_NEWNEIGH,
        CREATE,
        header,
        attribute(NDA_DST, bytes),
        attribute(NDA_LLADDR, mac),
      );
    });
  }

  close(): void {
    this.#exchange.close();
  }

  #changeEach(
    what: string,
    addresses: readonly string[],
    requestFor: (bytes: readonly number[]) => Uint8Array,
  ): void {
    const requests = addresses.map((address) => requestFor(addressBytes(address)));
    const codes = atOnce(this.#exchange.change(requests));
    for (const [i, code] of codes.entries()) {
      if (code !== 0) throw new SysError(`${what} ${addresses[i]}`, code);
    }
  }

  #change(what: string, request: Uint8Array): void {
    const [code] = atOnce(this.#exchange.change([request]));
    if (code !== 0) throw new SysError(what, code);
  }
}

const CREATE = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

/** struct rtmsg. The route leads to neighbours on the link: there is no router. */
function routeHeader(family: number, bits: number): number[] {
  return [family, bits, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST, ...u32(0)];
}

function describe({ name, mac }: LinkEnd): number[] {
  return [...nameAttribute(name), ...attribute(IFLA_ADDRESS, mac)];
}

function nameAttribute(name: string): Encoded {
  return attribute(IFLA_IFNAME, Buffer.from(`${name}\0`));
}

function familyNumber(bytes: readonly number[]): number {
  return bytes.length === 4 ? AF_INET : AF_INET6;
}

function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
