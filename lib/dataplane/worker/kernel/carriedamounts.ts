import { IPPROTO_TCP } from '../../../sys/constants.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';

/** Bytes of headers in a packet. Of TCP the usual ones: there is a time stamp in each segment. */
const IP_HEADER = { v4: 20, v6: 40 } as const;
const UDP_HEADER = 8;
const TCP_HEADER = 32;

/** What entries have carried, added up: bytes of payload, and datagrams of UDP. */
export class CarriedAmounts {
  bytesIn = 0;
  bytesOut = 0;
  datagramsIn = 0;
  datagramsOut = 0;

  addFlow({ protocol, bytesIn, bytesOut, packetsIn, packetsOut }: FlowReader, isV6: boolean): void {
    const isTcp = protocol === IPPROTO_TCP;
    const headers = (isV6 ? IP_HEADER.v6 : IP_HEADER.v4) + (isTcp ? TCP_HEADER : UDP_HEADER);
    this.bytesIn += Math.max(0, bytesIn - packetsIn * headers);
    this.bytesOut += Math.max(0, bytesOut - packetsOut * headers);
    if (isTcp) return;
    this.datagramsIn += packetsIn;
    this.datagramsOut += packetsOut;
  }

  add({ bytesIn, bytesOut, datagramsIn, datagramsOut }: CarriedAmounts): void {
    this.raise(bytesIn, bytesOut, datagramsIn, datagramsOut);
  }

  raise(bytesIn: number, bytesOut: number, datagramsIn: number, datagramsOut: number): void {
    this.bytesIn += bytesIn;
    this.bytesOut += bytesOut;
    this.datagramsIn += datagramsIn;
    this.datagramsOut += datagramsOut;
  }
}
