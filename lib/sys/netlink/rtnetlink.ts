import { addressBytes, addressText } from '../../net/address.js';
import { AF_INET, AF_INET6 } from '../constants.js';
import { type Attributes, attribute, attributesAfter, malformed, nativeUint32 } from './attributes.js';
import { Exchange } from './exchange.js';
import { IFF_UP, IFINFOMSG_SIZE, linkHeader, RTM_GETLINK } from './linkheader.js';
import { encodeRequest, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './messages.js';
import { NETLINK_ROUTE, NetlinkSocket } from './socket.js';
import { inTurns } from './steps.js';

/** rtnetlink(7) and linux/rtnetlink.h. */
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;
const IFA_F_NODAD = 0x02;
const RT_SCOPE_HOST = 254;
const FOREVER = 0xffffffff;

/** struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, interface index u32. */
const IFADDRMSG_SIZE = 8;

/** struct ifa_cacheinfo: preferred and valid lifetime in seconds, two time stamps. */
const CACHEINFO_SIZE = 16;

/** The loopback device has this number in every network namespace (LOOPBACK_IFINDEX). */
const LOOPBACK_INDEX = 1;

/**
 * Marks by which addresses of kube-portal are known in the kernel, even if its process is killed and its
 * files are lost. IPv4 addresses have a label, which `ip addr` shows; an address without it is never removed.
 * IPv6 addresses have the number of a program (IFA_PROTO) from Linux 5.18 on; older kernels ignore it.
 */
const LABEL = Buffer.from('lo:kube-portal\0');
const PROTO = 107;

/** An address that a device has. */
export interface DeviceAddress {
  readonly address: string;
  /**
   * Whether {@link RouteSocket.addToLoopback} added the address. `maybe`: it looks like such an address, but
   * this kernel stores no program number.
   */
  readonly ours: 'yes' | 'maybe' | 'no';
}

/** An address for which the kernel refused the request. */
export interface AddressFailure {
  readonly address: string;
  /** Errno. */
  readonly code: number;
}

/** Reads and changes the addresses of devices. Calls must not overlap: a second call fails with EBUSY. */
export class RouteSocket {
  /** @throws SysError */
  readonly #exchange = new Exchange(() => new NetlinkSocket(NETLINK_ROUTE));

  /** @throws SysError */
  isLoopbackUp(): boolean {
    const answer = this.#exchange.ask(encodeRequest(RTM_GETLINK, 0, linkHeader(LOOPBACK_INDEX, 0)));
    if (answer.byteLength < IFINFOMSG_SIZE) throw malformed();
    return (answer.getUint32(8, true) & IFF_UP) !== 0;
  }

  /** Every address of every device. @throws SysError */
  addresses(): Promise<DeviceAddress[]> {
    const request = encodeRequest(RTM_GETADDR, NLM_F_DUMP, new Uint8Array(IFADDRMSG_SIZE));
    return inTurns(this.#exchange.list(request, readAddress));
  }

  /**
   * Adds host addresses to the loopback device. The kernel never chooses them as the source of a connection
   * to another node: IPv4 addresses have host scope, and IPv6 addresses are deprecated.
   * @returns the addresses that were refused; EEXIST: the device has the address already
   * @throws SysError
   */
  addToLoopback(addresses: readonly string[]): Promise<AddressFailure[]> {
    return this.#change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, addresses);
  }

  /**
   * @returns the addresses that were refused; EADDRNOTAVAIL: the device does not have the address
   * @throws SysError
   */
  removeFromLoopback(addresses: readonly string[]): Promise<AddressFailure[]> {
    return this.#change(RTM_DELADDR, 0, addresses);
  }

  close(): void {
    this.#exchange.close();
  }

  async #change(type: number, flags: number, addresses: readonly string[]): Promise<AddressFailure[]> {
    const requests = addresses.map((address) =>
      encodeRequest(type, NLM_F_ACK | flags, ...loopbackAddress(address)),
    );
    const codes = await inTurns(this.#exchange.change(requests));
    return addresses.flatMap((address, i) => (codes[i] === 0 ? [] : { address, code: codes[i] }));
  }
}

/**
 * An ifaddrmsg with attributes for one host address. Duplicate address detection is off, because loopback has
 * no other hosts.
 */
function loopbackAddress(address: string): ArrayLike<number>[] {
  const bytes = addressBytes(address);
  const isV4 = bytes.length === 4;
  const fixed = new Uint8Array(IFADDRMSG_SIZE);
  fixed.set([isV4 ? AF_INET : AF_INET6, bytes.length * 8, 0, RT_SCOPE_HOST]);
  new DataView(fixed.buffer).setUint32(4, LOOPBACK_INDEX, true);
  const attributes = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (isV4) {
    attributes.push(attribute(IFA_LABEL, LABEL));
  } else {
    attributes.push(nativeUint32(IFA_FLAGS, IFA_F_NODAD));
    attributes.push(nativeUint32(IFA_CACHEINFO, 0, FOREVER, 0, 0));
    attributes.push(attribute(IFA_PROTO, [PROTO]));
  }
  return [fixed, ...attributes];
}

/**
 * If a link has a peer, IFA_LOCAL is the device's own address. IPv6 addresses mostly have IFA_ADDRESS only.
 * @throws SysError with EBADMSG
 */
function readAddress(body: DataView): DeviceAddress {
  const attributes = attributesAfter(body, IFADDRMSG_SIZE);
  const bytes = attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS);
  if (bytes?.length !== 4 && bytes?.length !== 16) throw malformed();
  const isWhole = body.getUint8(1) === bytes.length * 8;
  const isOnLoopback = body.getUint32(4, true) === LOOPBACK_INDEX;
  const ours =
    isWhole && isOnLoopback ? (bytes.length === 4 ? ownershipOfV4 : ownershipOfV6)(attributes) : 'no';
  return { address: addressText(bytes), ours };
}

function ownershipOfV4(attributes: Attributes): DeviceAddress['ours'] {
  const label = attributes.bytes(IFA_LABEL);
  return label !== null && LABEL.equals(label) ? 'yes' : 'no';
}

/**
 * An address has IFA_PROTO only if the program that added it set it. Before Linux 5.18, the addresses of
 * kube-portal cannot be told from addresses that a person added.
 */
function ownershipOfV6(attributes: Attributes): DeviceAddress['ours'] {
  if (attributes.has(IFA_PROTO)) return attributes.uint8(IFA_PROTO) === PROTO ? 'yes' : 'no';
  if (!attributes.has(IFA_FLAGS) || !attributes.has(IFA_CACHEINFO)) return 'no';
  const flags = attributes.require(IFA_FLAGS, 4);
  const lifetimes = attributes.require(IFA_CACHEINFO, CACHEINFO_SIZE);
  const isDeprecated = lifetimes.getUint32(0, true) === 0;
  const isForGood = lifetimes.getUint32(4, true) === FOREVER;
  const skipsDetection = (flags.getUint32(0, true) & IFA_F_NODAD) !== 0;
  return isDeprecated && isForGood && skipsDetection ? 'maybe' : 'no';
}
