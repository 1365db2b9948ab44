/** Numbers of protocols in IP headers (IANA, Protocol Numbers). */
export const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpV6: 58 } as const;

/** Bits of {@link PacketHeaders.tcpFlags} (RFC 9293, 3.1). */
export const TCP_FLAG = { fin: 0x01, syn: 0x02, reset: 0x04, ack: 0x10 } as const;

/** Bytes. */
const IPV4_SIZE = 20;
const IPV6_SIZE = 40;
const TCP_SIZE = 20;
const UDP_SIZE = 8;
const ICMP_SIZE = 8;
/** Bytes of the undelivered packet's transport header that each ICMP error has at least (RFC 792). */
const QUOTED_SIZE = 8;
/** The flag "more fragments" and the offset of a fragment (RFC 791). The other two flags do not matter. */
const FRAGMENT_BITS = 0x3fff;
/** Destination unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792). */
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
/** ICMPv6 types below this are errors (RFC 4443, 2.1). */
const FIRST_ICMPV6_INFORMATION = 128;

/**
 * The headers of one packet, read in place: members tell where something is in the bytes, or have its value.
 * One object reads packet after packet and allocates nothing. What follows is not read, because nobody needs
 * it: fragments, IPv6 extension headers, other protocols than TCP, UDP and ICMP. Checksums are not compared.
 */
export class PacketHeaders {
  isV6 = false;
  /** A value of {@link IP_PROTOCOL}. */
  protocol = 0;
  /** How many hops the packet may still take (TTL, hop limit). */
  hops = 0;
  /** Byte where the address of the sender begins. It has 4 or 16 bytes. */
  sourceAt = 0;
  /** Byte where the address of the receiver begins. */
  destinationAt = 0;
  /** Byte where the header of TCP, UDP or ICMP begins. */
  transportAt = 0;
  /** Byte where the data behind that header begins. */
  payloadAt = 0;
  /** Byte behind the last one that is there. */
  end = 0;
  /** Whether all bytes of the packet are there. */
  isWhole = false;
  /** 0 for ICMP. */
  sourcePort = 0;
  /** 0 for ICMP. */
  destinationPort = 0;
  /** Bits of {@link TCP_FLAG}. 0 for other protocols, and in a quoted packet that ends before them. */
  tcpFlags = 0;
  /** Sequence number of a TCP segment, unsigned. 0 for other protocols. */
  sequence = 0;
  /** Acknowledgement number of a TCP segment, unsigned. 0 where there are no flags. */
  acknowledgement = 0;
  /** Type of an ICMP or ICMPv6 message. 0 for other protocols. */
  icmpType = 0;
  icmpCode = 0;

  /**
   * Reads the packet that begins at byte `start` with its IP header.
   * @param length bytes that are there; they may be fewer than the packet has
   * @returns false if the packet is damaged, is not read (see above), or ends within its headers; the members
   *   then mean nothing
   */
  read(view: DataView, start: number, length: number): boolean {
    return this.#readNetwork(view, start, length) && this.#readTransport(view);
  }

  /**
   * Reads the undelivered packet in an ICMP error. Most senders of errors leave out its end; ports, and the
   * sequence number of TCP, are always there.
   * @param error headers of the ICMP error, read before from the same bytes
   * @returns as {@link read}; false too if `error` is no ICMP error
   */
  readQuoted(view: DataView, error: PacketHeaders): boolean {
    if (!error.isIcmpError) return false;
    const { payloadAt, end } = error;
    return this.#readNetwork(view, payloadAt, end - payloadAt) && this.#readQuotedTransport(view);
  }

  /** Whether the packet tells its receiver that another packet was not delivered, which it quotes. */
  get isIcmpError(): boolean {
    if (this.protocol === IP_PROTOCOL.icmp) return ICMP_ERRORS.includes(this.icmpType);
    return this.protocol === IP_PROTOCOL.icmpV6 && this.icmpType < FIRST_ICMPV6_INFORMATION;
  }

  /** Bytes of an address of this packet: 4 or 16. */
  get addressLength(): 4 | 16 {
    return this.isV6 ? 16 : 4;
  }

  #readNetwork(view: DataView, start: number, length: number): boolean {
    if (length < IPV4_SIZE) return false;
    const version = view.getUint8(start) >>> 4;
    if (version === 4) return this.#readIPv4(view, start, length);
    return version === 6 && length >= IPV6_SIZE && this.#readIPv6(view, start, length);
  }

  #readIPv4(view: DataView, start: number, length: number): boolean {
    const headerSize = (view.getUint8(start) & 0xf) * 4;
    if (headerSize < IPV4_SIZE) return false;
    if ((view.getUint16(start + 6) & FRAGMENT_BITS) !== 0) return false;
    this.isV6 = false;
    this.hops = view.getUint8(start + 8);
    this.protocol = view.getUint8(start + 9);
    this.sourceAt = start + 12;
    this.destinationAt = start + 16;
    return this.#setEnds(start, headerSize, view.getUint16(start + 2), length);
  }

  #readIPv6(view: DataView, start: number, length: number): boolean {
    this.isV6 = true;
    this.protocol = view.getUint8(start + 6);
    this.hops = view.getUint8(start + 7);
    this.sourceAt = start + 8;
    this.destinationAt = start + 24;
    return this.#setEnds(start, IPV6_SIZE, IPV6_SIZE + view.getUint16(start + 4), length);
  }

  /** @param total bytes that the packet has by its own header @param length bytes that are there */
  #setEnds(start: number, headerSize: number, total: number, length: number): boolean {
    this.transportAt = start + headerSize;
    this.isWhole = total <= length;
    this.end = start + Math.min(total, length);
    return this.transportAt <= this.end;
  }

  #readTransport(view: DataView): boolean {
    this.#clearTransport();
    switch (this.protocol) {
      case IP_PROTOCOL.tcp:
        return this.#has(TCP_SIZE) && this.#readTcp(view);
      case IP_PROTOCOL.udp:
        return this.#has(UDP_SIZE) && this.#readPorts(view, UDP_SIZE);
      case IP_PROTOCOL.icmp:
        return !this.isV6 && this.#has(ICMP_SIZE) && this.#readIcmp(view);
      case IP_PROTOCOL.icmpV6:
        return this.isV6 && this.#has(ICMP_SIZE) && this.#readIcmp(view);
      default:
        return false;
    }
  }

  /** A quoted TCP header that is cut, or has more options than were quoted, still tells the ports. */
  #readQuotedTransport(view: DataView): boolean {
    if (this.#readTransport(view)) return true;
    if (this.protocol !== IP_PROTOCOL.tcp || !this.#has(QUOTED_SIZE)) return false;
    this.sequence = view.getUint32(this.transportAt + 4);
    return this.#readPorts(view, this.end - this.transportAt);
  }

  #has(size: number): boolean {
    return this.end - this.transportAt >= size;
  }

  #clearTransport(): void {
    this.sourcePort = 0;
    this.destinationPort = 0;
    this.tcpFlags = 0;
    this.sequence = 0;
    this.acknowledgement = 0;
    this.icmpType = 0;
    this.icmpCode = 0;
  }

  #readPorts(view: DataView, headerSize: number): boolean {
    const at = this.transportAt;
    this.sourcePort = view.getUint16(at);
    this.destinationPort = view.getUint16(at + 2);
    this.payloadAt = at + headerSize;
    return true;
  }

  #readTcp(view: DataView): boolean {
    const at = this.transportAt;
    const headerSize = (view.getUint8(at + 12) >>> 4) * 4;
    if (headerSize < TCP_SIZE || !this.#has(headerSize)) return false;
    this.sequence = view.getUint32(at + 4);
    this.acknowledgement = view.getUint32(at + 8);
    this.tcpFlags = view.getUint8(at + 13);
    return this.#readPorts(view, headerSize);
  }

  #readIcmp(view: DataView): boolean {
    this.icmpType = view.getUint8(this.transportAt);
    this.icmpCode = view.getUint8(this.transportAt + 1);
    this.payloadAt = this.transportAt + ICMP_SIZE;
    return true;
  }
}
