import type { Logger } from 'pino';
import type { Dataplane } from '../dataplane/dataplane.js';
import { NONE } from '../model/compact.js';
import type { Snapshot } from '../portal/portal.js';
import type { StateMemory } from '../state/statefile.js';
import type { NodeContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import type { Backlog } from './backlog.js';
import { type DeliveredChange, DONE, Executor } from './executor.js';
import type { ForwardingWatch } from './forwardingwatch.js';
import { isUnfinished, plan, planTelling } from './plan.js';
import type { ProblemReports } from './problemreports.js';
import { ProxyPortMoves } from './proxyportmoves.js';
import type { Redirects } from './redirects.js';
import { Turns } from './turns.js';

/** What the reconciler needs for its work. */
export interface ReconcilerTools {
  readonly context: NodeContext;
  readonly portals: ActivePortals;
  readonly dataplane: Dataplane;
  readonly redirects: Redirects;
  readonly reports: ProblemReports;
  readonly forwarding: ForwardingWatch;
  /** The file of the proxy ports, for the next run. */
  readonly portMemory: StateMemory;
  readonly backlog: Backlog;
  readonly log: Logger;
}

/** Logs the error if work on the node fails. */
export function logFailure(log: Logger): (error: unknown) => void {
  return (error) => log.error({ err: error }, 'a change of the node failed');
}

/** Brings the node to the desired state, one change at a time, and tries again what failed. */
export class Reconciler {
  readonly #tools: ReconcilerTools;
  readonly #executor: Executor;
  readonly #moves: ProxyPortMoves;
  readonly #turns = new Turns();
  readonly #moveTurns = new Turns();
  #desired: Snapshot;
  #ownPorts: readonly number[] = NONE;
  /** The run that waits for its turn. It will apply the newest state. */
  #nextRun: Promise<void> | null = null;
  #isFirst = true;
  #isEnding = false;

  constructor(tools: ReconcilerTools) {
    const { reports } = tools;
    this.#tools = tools;
    this.#executor = new Executor({
      ...tools,
      savePorts: () => this.#savePorts(),
      opened: (opened) => {
        reports.tell(opened);
        tools.forwarding.concern(opened);
      },
    });
    this.#moves = new ProxyPortMoves({
      ...tools,
      executor: this.#executor,
      settled: (settled) => reports.tell(settled, true),
    });
    this.#desired = this.#executor.actual.portals;
  }

  /**
   * Makes a snapshot the desired state. Resolves when this snapshot or a newer one is in effect, except for
   * what cannot be opened or redirected.
   * @param ownPorts TCP ports of kube-portal's own servers
   * @throws Error if workers broke
   */
  apply(snapshot: Snapshot, ownPorts: readonly number[]): Promise<void> {
    this.#desired = snapshot;
    this.#ownPorts = ownPorts;
    this.#nextRun ??= this.#tools.backlog.during(async () => {
      await this.#change(() => {
        this.#nextRun = null;
        return this.#reconcile();
      });
      await this.#movePorts();
    });
    return this.#nextRun;
  }

  /**
   * Tries again steps that failed, files that could not be written and listeners that could not be opened.
   * Opens NodePorts on addresses that the node has got, and closes them on addresses that it has lost.
   * @throws Error if workers broke
   */
  async retry(): Promise<void> {
    await this.#turns.take(() => this.#retry());
    await this.#movePorts();
  }

  /** Does a last piece of work after the change that runs now. No other change begins. */
  end(work: () => Promise<void>): Promise<void> {
    this.#isEnding = true;
    return this.#logged(this.#turns.take(work));
  }

  /** Resolves when the driver is done too. A change that begins after {@link end} does nothing. */
  async #change(work: () => Promise<DeliveredChange>): Promise<void> {
    const { redirected } = await this.#turns.take(async () => (this.#isEnding ? DONE : work()));
    await redirected;
  }

  #reconcile(): Promise<DeliveredChange> {
    const { ports, publicPorts } = this.#tools.context;
    if (this.#isFirst) ports.keepOnly(this.#desired);
    this.#isFirst = false;
    publicPorts.setOwn(this.#ownPorts);
    return this.#executor.run(plan(this.#executor.actual, this.#desired));
  }

  async #retry(): Promise<void> {
    if (this.#isEnding) return;
    const { portals, reports } = this.#tools;
    if (isUnfinished(this.#executor.actual, this.#desired)) {
      this.#goOnWithout(await this.#reconcile());
    }
    await this.#savePorts();
    const retried = [...portals.all()].filter((active) => !active.isComplete || active.followsNode);
    const changed = retried.filter((active) => active.openListeners());
    reports.tell(retried);
    this.#goOnWithout(await this.#executor.run(planTelling(changed.map(({ key }) => key))));
  }

  /** Other changes do not wait for the driver. */
  #goOnWithout({ redirected }: DeliveredChange): void {
    redirected.catch(logFailure(this.#tools.log));
  }

  /** Moves proxy ports, if any must move. Waits for moves that run already. */
  #movePorts(): Promise<void> {
    return this.#moveTurns.take(async () => {
      if (this.#moves.areDue) await this.#change(() => this.#moves.begin());
      if (this.#moves.areOpen) await this.#change(() => this.#moves.end());
    });
  }

  /**
   * Called before a rule uses the ports: if this process is killed, the next run must find the ports of the
   * rules. Freed ports do no harm in the file. They leave it with the next change or retry.
   */
  async #savePorts(): Promise<void> {
    const { context, portMemory } = this.#tools;
    const { ports } = context;
    if (ports.isDirty && !(await portMemory.keep(ports.saved()))) ports.isDirty = true;
  }

  #logged(run: Promise<void>): Promise<void> {
    run.catch(logFailure(this.#tools.log));
    return run;
  }
}
