import { IPPROTO_TCP } from '../../../sys/constants.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import { FIELD } from '../../shared/counters.js';
import type { ServedPortal } from '../servedportal.js';

/** What is added up of each entry: bytes and datagrams, in both directions. */
const AMOUNTS = [FIELD.bytesIn, FIELD.bytesOut, FIELD.datagramsIn, FIELD.datagramsOut] as const;
/** Bytes of headers in a packet. Of TCP the usual ones: there is a time stamp in each segment. */
const IP_HEADER = { v4: 20, v6: 40 } as const;
const UDP_HEADER = 8;
const TCP_HEADER = 32;

/** What the kernel carries of one portal. */
export class CarriedCounts {
  /** How many entries the kernel has, as far as is known. */
  entries = 0;
  readonly #portal: ServedPortal;
  readonly #gauge: number;
  readonly #headers: number;
  readonly #isTcp: boolean;
  /** Entries that a reading of the table has met so far. */
  #met = 0;
  /** By index of {@link AMOUNTS}: of all entries that have ended. */
  readonly #ended = new Float64Array(AMOUNTS.length);
  /** Of the entries that have ended while the table was read in steps: the reading may have met them. */
  readonly #endedLate = new Float64Array(AMOUNTS.length);
  /** Of the entries that a reading has met. */
  readonly #living = new Float64Array(AMOUNTS.length);
  /** What the portal's counters have of it. */
  readonly #shown = new Float64Array(AMOUNTS.length);

  constructor(portal: ServedPortal, protocol: FlowProtocol) {
    this.#portal = portal;
    this.#isTcp = protocol === IPPROTO_TCP;
    this.#gauge = this.#isTcp ? FIELD.carriedConnectionsActive : FIELD.carriedFlowsActive;
    this.#headers = (portal.isV6 ? IP_HEADER.v6 : IP_HEADER.v4) + (this.#isTcp ? TCP_HEADER : UDP_HEADER);
  }

  addEntries(count: number): void {
    this.entries += count;
    this.#portal.count(this.#gauge, count);
  }

  /**
   * Takes what an entry has carried that has ended.
   * @param isLate whether the table is being read in steps
   */
  end(flow: FlowReader, isLate: boolean): void {
    this.#add(isLate ? this.#endedLate : this.#ended, flow);
    if (!isLate) this.#show(this.#ended);
  }

  beginReading(): void {
    this.#met = 0;
    this.#living.fill(0);
  }

  /** A reading meets an entry. */
  meet(flow: FlowReader): void {
    this.#met++;
    this.#add(this.#living, flow);
  }

  /** @param isCount whether the reading has met each entry */
  finishReading(isCount: boolean): void {
    if (isCount) this.addEntries(this.#met - this.entries);
    for (let index = 0; index < AMOUNTS.length; index++) this.#living[index] += this.#ended[index];
    this.#show(this.#living);
    for (let index = 0; index < AMOUNTS.length; index++) this.#ended[index] += this.#endedLate[index];
    this.#endedLate.fill(0);
    this.#show(this.#ended);
  }

  #add(amounts: Float64Array, { bytesIn, bytesOut, packetsIn, packetsOut }: FlowReader): void {
    amounts[0] += Math.max(0, bytesIn - packetsIn * this.#headers);
    amounts[1] += Math.max(0, bytesOut - packetsOut * this.#headers);
    if (this.#isTcp) return;
    amounts[2] += packetsIn;
    amounts[3] += packetsOut;
  }

  /** Counters only grow. At the end of an entry, less may be known than a reading of the others has shown. */
  #show(amounts: Float64Array): void {
    for (let index = 0; index < AMOUNTS.length; index++) {
      const more = amounts[index] - this.#shown[index];
      if (more <= 0) continue;
      this.#shown[index] += more;
      this.#portal.count(AMOUNTS[index], more);
    }
  }
}
