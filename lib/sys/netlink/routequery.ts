import { AF_INET6 } from '../constants.js';
import { EACCES, EHOSTUNREACH, EINVAL, SysError } from '../errno.js';
import { SocketAddress } from '../sockaddr.js';
import { Attributes, attribute, attributesAfter, malformed } from './attributes.js';
import { Exchange } from './exchange.js';
import { IFINFOMSG_SIZE, linkHeader, RTM_GETLINK } from './linkheader.js';
import { encodeRequest } from './messages.js';
import { NETLINK_ROUTE, NetlinkSocket } from './socket.js';

/** rtnetlink(7), linux/rtnetlink.h and linux/if_link.h. */
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_PREFSRC = 7;
const RTN_LOCAL = 2;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;

/** Types of routes that lead nowhere, with the error that connect(2) gives for them (fib_props). */
const ERRORS: ReadonlyMap<number, number> = new Map([
  [6, EINVAL],
  [7, EHOSTUNREACH],
  [8, EACCES],
]);

/** struct rtmsg: family, destination bits, source bits, tos, table, protocol, scope, type u8; flags u32. */
const RTMSG_SIZE = 12;
const RTMSG_TYPE = 7;

/** The way of this node's packets to an address. */
export interface Route {
  /** Whether the address is one of this node. */
  readonly isLocal: boolean;
  /** Index of the device by which the packets leave. */
  readonly device: number;
  /** The node's address that the kernel gives them. */
  readonly source: SocketAddress;
}

/** Asks the kernel for the way to single addresses. */
export class RouteQuery {
  /** @throws SysError */
  readonly #exchange = new Exchange(() => new NetlinkSocket(NETLINK_ROUTE));

  /**
   * @param address its port is ignored
   * @returns the errno that connect(2) gives where no route leads to the address
   * @throws SysError if the kernel does not answer
   */
  towards(address: SocketAddress): Route | number {
    const isV6 = address.family === AF_INET6;
    const bytes = address.memory.bytes.subarray(isV6 ? 8 : 4, isV6 ? 24 : 8);
    const header = new Uint8Array(RTMSG_SIZE);
    header.set([address.family, bytes.length * 8]);
    const answer = this.#ask(encodeRequest(RTM_GETROUTE, 0, header, attribute(RTA_DST, bytes)));
    return typeof answer === 'number' ? answer : readRoute(answer, isV6);
  }

  /** Whether a device is a bridge. False if the device is gone. @throws SysError */
  isBridge(device: number): boolean {
    const answer = this.#ask(encodeRequest(RTM_GETLINK, 0, linkHeader(device, 0)));
    if (typeof answer === 'number') return false;
    const info = attributesAfter(answer, IFINFOMSG_SIZE).find(IFLA_LINKINFO);
    return info !== null && new Attributes(info).text(IFLA_INFO_KIND) === 'bridge';
  }

  close(): void {
    this.#exchange.close();
  }

  /** @returns the errno with which the kernel has refused the request */
  #ask(request: Uint8Array): DataView | number {
    try {
      return this.#exchange.ask(request);
    } catch (error) {
      if (error instanceof SysError && error.call === 'netlink request') return error.code;
      throw error;
    }
  }
}

/** A route without RTA_PREFSRC has no address to send from, as where a device has none of the family. */
function readRoute(body: DataView, isV6: boolean): Route | number {
  const attributes = attributesAfter(body, RTMSG_SIZE);
  const type = body.getUint8(RTMSG_TYPE);
  const error = ERRORS.get(type);
  if (error !== undefined) return error;
  const source = attributes.bytes(RTA_PREFSRC);
  if (source === null) return EHOSTUNREACH;
  if (source.length !== (isV6 ? 16 : 4)) throw malformed();
  return {
    isLocal: type === RTN_LOCAL,
    device: attributes.require(RTA_OIF, 4).getUint32(0, true),
    source: new SocketAddress().setBytes(source, 0, isV6, 0),
  };
}
