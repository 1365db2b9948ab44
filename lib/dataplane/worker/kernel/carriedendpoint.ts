import { IPPROTO_TCP } from '../../../sys/constants.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import { FIELD } from '../../shared/counters.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { CarriedAmounts } from './carriedamounts.js';

/** What the kernel carries of one portal to one endpoint. It counts for both. */
export class CarriedEndpoint {
  /** How many entries the kernel has, as far as is known. */
  entries = 0;
  readonly #portal: ServedPortal;
  readonly #gauge: number;
  #target: Target | null = null;
  /** Entries that a reading of the table has met so far. */
  #met = 0;
  /** Of all entries that have ended. */
  readonly #ended = new CarriedAmounts();
  /**
   * Of the entries that have ended while the table was read in steps: the reading may have met them. Null:
   * none has.
   */
  #endedLate: CarriedAmounts | null = null;
  /** Of the entries that a reading has met. Null: it has met none. */
  #living: CarriedAmounts | null = null;
  /** What the counters have of it. */
  readonly #shown = new CarriedAmounts();

  constructor(
    readonly address: string,
    readonly port: number,
    portal: ServedPortal,
    protocol: FlowProtocol,
  ) {
    this.#portal = portal;
    this.#gauge = protocol === IPPROTO_TCP ? FIELD.carriedConnectionsActive : FIELD.carriedFlowsActive;
  }

  /**
   * The portal's endpoint with this address and port. Null: it has none any more. An endpoint that comes
   * again is another target, and gets the entries that are still there.
   */
  set target(target: Target | null) {
    if (target === this.#target) return;
    if (this.#target !== null) this.#target.counts.carriedActive -= this.entries;
    if (target !== null) target.counts.carriedActive += this.entries;
    this.#target = target;
  }

  /** Whether there is nothing to count, unless new entries come. */
  get isIdle(): boolean {
    return this.entries <= 0 && this.#living === null && this.#endedLate === null;
  }

  addEntries(count: number): void {
    this.entries += count;
    this.#portal.count(this.#gauge, count);
    if (this.#target !== null) this.#target.counts.carriedActive += count;
  }

  /**
   * Takes what an entry has carried that has ended.
   * @param isLate whether the table is being read in steps
   */
  end(flow: FlowReader, isLate: boolean): void {
    if (isLate) this.#endedLate ??= new CarriedAmounts();
    (this.#endedLate ?? this.#ended).addFlow(flow, this.#portal.isV6);
    if (!isLate) this.#show(this.#ended);
  }

  beginReading(): void {
    this.#met = 0;
    this.#living = null;
  }

  /** A reading meets an entry. */
  meet(flow: FlowReader): void {
    this.#met++;
    this.#living ??= new CarriedAmounts();
    this.#living.addFlow(flow, this.#portal.isV6);
  }

  /** @param isCount whether the reading has met each entry */
  finishReading(isCount: boolean): void {
    if (isCount) this.addEntries(this.#met - this.entries);
    this.#living?.add(this.#ended);
    if (this.#living !== null) this.#show(this.#living);
    this.#living = null;
    if (this.#endedLate === null) return;
    this.#ended.add(this.#endedLate);
    this.#endedLate = null;
    this.#show(this.#ended);
  }

  /** Counters only grow. At the end of an entry, less may be known than a reading of the others has shown. */
  #show(amounts: CarriedAmounts): void {
    const shown = this.#shown;
    const bytesIn = Math.max(0, amounts.bytesIn - shown.bytesIn);
    const bytesOut = Math.max(0, amounts.bytesOut - shown.bytesOut);
    const datagramsIn = Math.max(0, amounts.datagramsIn - shown.datagramsIn);
    const datagramsOut = Math.max(0, amounts.datagramsOut - shown.datagramsOut);
    shown.raise(bytesIn, bytesOut, datagramsIn, datagramsOut);
    this.#portal.count(FIELD.bytesIn, bytesIn);
    this.#portal.count(FIELD.bytesOut, bytesOut);
    this.#portal.count(FIELD.datagramsIn, datagramsIn);
    this.#portal.count(FIELD.datagramsOut, datagramsOut);
    this.#target?.counts.sent(datagramsIn, bytesIn);
    this.#target?.counts.answered(datagramsOut, bytesOut);
  }
}
