import type { Protocol } from '../../../net/protocol.js';
import type { PortalVip } from '../../../portal/portal.js';
import { isConntrackSettingOn } from '../../../sys/conntracksettings.js';
import { SysError } from '../../../sys/errno.js';
import type { ConntrackSocket } from '../../../sys/netlink/conntrack.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import { atOnce, type Steps } from '../../../sys/netlink/steps.js';
import type { EventLoop, Task } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { CountedPortals } from './countedportals.js';
import type { EndedFlows } from './endedflows.js';
import type { Vips } from './viptable.js';

/** The table is read this often, ms, but for a hundredth of the time at most. */
const READING_MS = 10_000;
const READING_SHARE = 100;

/** What a worker needs to count its entries in the kernel's table of tracked flows. */
export interface AccountingSources {
  readonly ended: EndedFlows;
  readonly conntrack: ConntrackSocket;
  /** The marks of the entries that it counts, and the bits of a mark that are compared. */
  readonly marks: readonly number[];
  readonly mask: number;
  /**
   * Whether other workers make entries with this mark. Once they do, the table does not tell whose they are.
   */
  readonly isMarkShared: boolean;
}

/**
 * Counts what the kernel carries of each portal, and to each endpoint. Whoever makes an entry says so; the
 * kernel tells when one has ended, and what it has carried. Where messages are missing, the table is counted:
 * at the start, for the entries of an earlier run, and when messages were lost. From time to time it is read
 * for what the entries have carried that have not ended.
 */
export class Accounting implements Task {
  readonly #loop: EventLoop;
  readonly #portals: CountedPortals;
  #sources: AccountingSources | null = null;
  /** A reading in steps, for what entries have carried. */
  #reading: Steps<void> | null = null;
  /** Ids of the entries that a count has met. Null: there is no count. */
  #met: Set<number> | null = null;
  #hasCounted = false;
  /** How many entries may be there whose portals were not known at the last count. */
  #strangers = Number.POSITIVE_INFINITY;
  #countAt = Number.POSITIVE_INFINITY;
  #readAt = Number.POSITIVE_INFINITY;
  /** Before this time the table is not read again. */
  #restUntil = Number.NEGATIVE_INFINITY;

  /** @param vips see CountedPortals */
  constructor(loop: EventLoop, vips: Vips) {
    this.#loop = loop;
    this.#portals = new CountedPortals(vips);
  }

  /** Begins to listen. The entries that exist are counted as soon as the portals are known. */
  start(sources: AccountingSources): void {
    this.#sources = sources;
    this.#loop.addTask(this);
    sources.ended.begin(
      (flow) => this.#end(flow),
      () => this.#countSoon(),
    );
  }

  /** Takes the addresses of a portal's clients, instead of those that it had. */
  set(portal: ServedPortal, protocol: Protocol, vips: readonly PortalVip[]): void {
    const isOther = this.#portals.set(portal, protocol, vips);
    if (isOther && (this.#strangers > 0 || this.#portals.entriesOf(portal) > 0)) this.#countSoon();
  }

  remove(portal: ServedPortal, protocol: Protocol): void {
    this.#strangers += this.#portals.entriesOf(portal);
    this.#portals.remove(portal, protocol);
  }

  /** The kernel has taken an entry for a client of this portal, which leads to this endpoint. */
  entered(portal: ServedPortal, { address }: Target, protocol: FlowProtocol): void {
    this.#portals.endpointsOf(portal, protocol).of(address).addEntries(1);
    if (this.#readAt === Number.POSITIVE_INFINITY) this.#readLater();
  }

  get deadline(): number {
    return this.#reading === null ? Math.min(this.#countAt, this.#readAt) : 0;
  }

  expire(now: number): void {
    const began = performance.now();
    try {
      if (this.#reading !== null) this.#readOn(this.#reading);
      else if (now >= this.#countAt || !isConntrackSettingOn('events')) this.#count();
      else this.#beginReading();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // The kernel is short of memory. What was read so far is of no use.
      this.#reading = null;
      this.#countAt = now + READING_MS;
    }
    this.#restUntil = Math.max(this.#restUntil, now) + (performance.now() - began) * READING_SHARE;
  }

  #countSoon(): void {
    if (this.#hasCounted && this.#sources?.isMarkShared) return;
    this.#countAt = Math.max(this.#loop.now, this.#restUntil);
  }

  #readLater(): void {
    const hasEntries = [...this.#portals.all()].some(({ entries }) => entries > 0);
    const next = Math.max(this.#loop.now + READING_MS, this.#restUntil);
    this.#readAt = hasEntries ? next : Number.POSITIVE_INFINITY;
  }

  /**
   * Counts all entries in one go: this worker makes none meanwhile. Of the entries that end meanwhile, those
   * are taken off that the count has met.
   */
  #count(): void {
    const { ended } = this.#sources as AccountingSources;
    ended.hearAll();
    this.#met = new Set();
    this.#strangers = 0;
    try {
      atOnce(this.#read());
      for (const counts of this.#portals.all()) counts.finishReading(true);
      this.#hasCounted = true;
      this.#countAt = Number.POSITIVE_INFINITY;
      if (!ended.hearAll()) this.#countSoon();
    } finally {
      this.#met = null;
    }
    this.#readLater();
  }

  #beginReading(): void {
    if (isConntrackSettingOn('acct')) this.#reading = this.#read();
    else this.#readLater();
  }

  #readOn(reading: Steps<void>): void {
    if (!reading.next().done) return;
    this.#reading = null;
    for (const counts of this.#portals.all()) counts.finishReading(false);
    this.#readLater();
  }

  *#read(): Steps<void> {
    const { conntrack, marks, mask } = this.#sources as AccountingSources;
    for (const counts of this.#portals.all()) counts.beginReading();
    yield* conntrack.visit(marks, mask, (flow) => this.#meet(flow));
  }

  #meet(flow: FlowReader): void {
    const counts = this.#portals.of(flow);
    counts?.meet(flow);
    if (this.#met === null) return;
    this.#met.add(flow.id);
    if (counts === null) this.#strangers++;
  }

  #end(flow: FlowReader): void {
    const counts = this.#portals.of(flow);
    if (counts === null) return;
    if (this.#met === null || this.#met.has(flow.id)) counts.addEntries(-1);
    counts.end(flow, this.#reading !== null);
  }
}
