import { STATUS } from '../../../sys/netlink/flow.js';
import { endOf, type Tuple } from '../../../sys/netlink/tuple.js';
import type { SocketAddress } from '../../../sys/sockaddr.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import type { Task } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { TimerEntry, TimerList } from '../timers.js';
import type { KernelNode } from './node.js';
import { reachOf } from './paths.js';
import type { TrackedEntries } from './trackedentries.js';

/** An endpoint that this node forwards to has answered by then, ms. */
const ANSWER_MS = 200;

/** A client that was handed over to an endpoint that is doubtful. */
class Check extends TimerEntry {
  constructor(
    readonly portal: ServedPortal,
    readonly target: Target,
    readonly original: Tuple,
    readonly onSilence: (target: Target) => void,
    readonly settle: (check: Check) => void,
  ) {
    super();
  }

  onTimer(): void {
    this.settle(this);
  }
}

/**
 * Where the FORWARD chain drops what no rule allows, the first client of each endpoint shows whether a rule
 * allows it. One answer proves the endpoint for good. Without one, its clients are relayed for a while.
 */
export class AnswerChecks implements Task {
  readonly #tracked: TrackedEntries;
  readonly #node: KernelNode;
  readonly #report: (event: DataplaneEvent) => void;
  readonly #waiting = new TimerList(ANSWER_MS);

  /** @param report takes events for the log */
  constructor(tracked: TrackedEntries, node: KernelNode, report: (event: DataplaneEvent) => void) {
    this.#tracked = tracked;
    this.#node = node;
    this.#report = report;
  }

  get deadline(): number {
    return this.#waiting.deadline;
  }

  expire(now: number): void {
    this.#waiting.expire(now);
  }

  /** Whether nobody knows yet if the kernel reaches an endpoint, and no check is under way. */
  isDoubtful(portal: ServedPortal, target: Target): boolean {
    if (this.#node.forwards(portal.isV6) !== 'doubtful') return false;
    const { isProved, isBeingChecked } = reachOf(target);
    return !isProved && !isBeingChecked && !this.#node.paths.isLocal(target);
  }

  /**
   * A client was handed over to an endpoint that is doubtful: waits for its answer.
   * @param onSilence called if the endpoint has failed; its clients that wait should be relayed
   */
  start(
    protocol: Tuple['protocol'],
    { client, vip }: { readonly client: SocketAddress; readonly vip: SocketAddress },
    portal: ServedPortal,
    target: Target,
    onSilence: (target: Target) => void,
  ): void {
    reachOf(target).isBeingChecked = true;
    const original = { protocol, source: endOf(client), destination: endOf(vip), zone: 0 };
    const check = new Check(portal, target, original, onSilence, (done) => this.#settle(done));
    this.#waiting.start(check, this.#node.now());
  }

  #settle({ portal, target, original, onSilence }: Check): void {
    const reach = reachOf(target);
    reach.isBeingChecked = false;
    const entry = this.#tracked.find(original);
    // Without its entry, nothing is found out.
    if (entry === null) return;
    if ((entry.status & STATUS.seenReply) !== 0) {
      reach.isProved = true;
      return;
    }
    reach.fail(this.#node.now());
    this.#node.version++;
    this.#report({ kind: 'notCarried', portal: portal.key, endpoint: target.name, reason: 'FORWARD policy' });
    onSilence(target);
  }
}
