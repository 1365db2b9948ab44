import { SysError } from '../../../../sys/errno.js';
import type { ConntrackSocket } from '../../../../sys/netlink/conntrack.js';
import { STATUS, type TrackedFlow } from '../../../../sys/netlink/flow.js';
import { commonBits, type FlowFilter } from '../../../../sys/netlink/flowfilter.js';
import type { Steps } from '../../../../sys/netlink/steps.js';
import { type AddressPort, endOf } from '../../../../sys/netlink/tuple.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import type { CarrierSetup } from '../../../shared/carrier.js';
import type { Task } from '../../loop.js';
import type { Target } from '../../target.js';

/** An endpoint has this time for its first answer to a client, ms, before the client's entry ends. */
const ANSWER_MS = 1000;
/** In one turn of the loop, the table is read for this time, ms, and the step that has begun. */
const TURN_MS = 1;
/** After an error, the table is read again after this time, ms. */
const RETRY_MS = 1000;

/** Which entries end: those of clients of these VIPs. */
export interface EndedEntries {
  readonly isV6: boolean;
  readonly vips: readonly { readonly address: string; readonly port: number }[];
  /** Only entries that lead to these endpoints; null: all. */
  readonly targets: readonly Target[] | null;
  /**
   * Whether the endpoints may still answer. Without its entry, an answer that is under way is lost. So flows
   * without an answer end a second later: nearly all look-ups are flows of their own.
   */
  readonly mayAnswer: boolean;
}

/** Entries that end from a time on, ms of the loop's clock. 0: in this turn of the loop. */
interface Waiting extends EndedEntries {
  readonly from: number;
}

/**
 * Ends entries of carried UDP flows, so that their next datagrams are first ones again. The table of tracked
 * flows is read in steps; the worker relays between them. What is asked for meanwhile ends with the next
 * reading.
 */
export class EntryEnds implements Task {
  #waiting: Waiting[] = [];
  /** What is being ended, and the work on it. */
  #due: readonly Waiting[] = [];
  #steps: Steps<void> | null = null;

  /**
   * @param conntrack for nobody else: work in steps does not overlap with other calls
   * @param setup the entries are those with its held marks
   */
  constructor(
    readonly conntrack: ConntrackSocket,
    readonly setup: Pick<CarrierSetup, 'heldMarks' | 'ownMask'>,
  ) {}

  get deadline(): number {
    if (this.#steps !== null) return 0;
    let earliest = Number.POSITIVE_INFINITY;
    for (const { from } of this.#waiting) earliest = Math.min(earliest, from);
    return earliest;
  }

  expire(now: number): void {
    this.#steps ??= this.#begin(now);
    try {
      if (isDone(this.#steps)) this.#steps = null;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // The kernel is short of memory.
      this.#steps = null;
      for (const one of this.#due) this.#waiting.push({ ...one, from: now + RETRY_MS });
    }
  }

  add(ended: EndedEntries): void {
    if (this.setup.heldMarks.length === 0) return;
    if (ended.vips.length > 0 && ended.targets?.length !== 0) this.#waiting.push({ ...ended, from: 0 });
  }

  #begin(now: number): Steps<void> {
    const due = this.#waiting.filter(({ from }) => from <= now);
    this.#waiting = this.#waiting.filter(({ from }) => from > now);
    for (const one of due) {
      if (one.mayAnswer) this.#waiting.push({ ...one, mayAnswer: false, from: now + ANSWER_MS });
    }
    this.#due = due;
    return this.#end(due);
  }

  *#end(waiting: readonly Waiting[]): Steps<void> {
    for (const family of ['IPv4', 'IPv6'] as const) {
      const ofFamily = waiting.filter(({ isV6 }) => isV6 === (family === 'IPv6'));
      if (ofFamily.length === 0) continue;
      const routes = new Routes(ofFamily);
      const { heldMarks, ownMask } = this.setup;
      const filter = { mark: commonBits(heldMarks, ownMask), ...routes.filter };
      const flows = yield* this.conntrack.list(
        family,
        filter,
        (flow) => heldMarks.includes((flow.mark & ownMask) >>> 0) && routes.has(flow),
      );
      yield* this.conntrack.delete(flows);
    }
  }
}

/** Does steps for a while. @returns whether there are no more */
function isDone(steps: Steps<void>): boolean {
  const end = performance.now() + TURN_MS;
  while (!steps.next().done) if (performance.now() > end) return false;
  return true;
}

/** The pairs of VIP and endpoint whose entries end. */
class Routes {
  /** By the VIP alone, or by both: whether flows without an answer are spared. */
  readonly #spares = new Map<string, boolean>();
  readonly #ends: AddressPort[] = [];
  #isOfOneEndpoint = true;

  constructor(all: readonly EndedEntries[]) {
    for (const { vips, targets, mayAnswer } of all) {
      const ends = targets?.map(({ address }) => endOf(address)) ?? null;
      if (ends === null) this.#isOfOneEndpoint = false;
      else this.#ends.push(...ends);
      if (this.#ends.length > 1) this.#isOfOneEndpoint = false;
      for (const vip of vips) {
        const key = keyOf(endOf(SocketAddress.of(vip.address, vip.port)));
        if (ends === null) this.#add(key, mayAnswer);
        else for (const end of ends) this.#add(key + keyOf(end), mayAnswer);
      }
    }
  }

  /** What the kernel can compare: the endpoint, if there is only one. */
  get filter(): FlowFilter {
    const [end] = this.#ends;
    return this.#isOfOneEndpoint && end !== undefined ? { reply: { protocol: 'UDP', source: end } } : {};
  }

  has({ original, reply, status }: TrackedFlow): boolean {
    if (original.protocol !== 'UDP') return false;
    const vip = keyOf(original.destination);
    const spares = this.#spares.get(vip) ?? this.#spares.get(vip + keyOf(reply.source));
    return spares === false || (spares === true && (status & STATUS.seenReply) !== 0);
  }

  #add(key: string, spares: boolean): void {
    this.#spares.set(key, spares && this.#spares.get(key) !== false);
  }
}

/** All keys of one family have the same length, so two of them in a row are unambiguous. */
function keyOf({ address, port }: AddressPort): string {
  return `${String.fromCharCode(port)}${Buffer.from(address).toString('latin1')}`;
}
