import type { ActivePortal, NodeContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import { type DeliveredChange, DONE, type Executor } from './executor.js';
import { planTelling } from './plan.js';
import type { Redirects } from './redirects.js';

export interface MoveTools {
  readonly context: Pick<NodeContext, 'ports' | 'publicPorts'>;
  readonly portals: ActivePortals;
  readonly executor: Executor;
  readonly redirects: Pick<Redirects, 'isFailing'>;
  /** Reports missing listeners of these portals, after proxy ports have moved. */
  settled(portals: Iterable<ActivePortal>): void;
}

/**
 * Moves portals away from proxy ports that have become public, for example as a NodePort. The portal opens a
 * second proxy port, its redirect changes to it, and the first port closes. Then listeners that wait for
 * the first port open.
 */
export class ProxyPortMoves {
  readonly #tools: MoveTools;

  constructor(tools: MoveTools) {
    this.#tools = tools;
  }

  /** Whether {@link begin} may have something to do. */
  get areDue(): boolean {
    return this.#tools.context.publicPorts.haveGrown;
  }

  /** Whether {@link end} may have something to do. */
  get areOpen(): boolean {
    return this.#tools.context.ports.hasLeftPorts;
  }

  /** Portals with public proxy ports listen on a second port, and the driver redirects to it. */
  async begin(): Promise<DeliveredChange> {
    const { context, portals, executor, settled } = this.#tools;
    const moved = portals.existing(context.ports.exposed()).filter((active) => active.movePort());
    context.publicPorts.haveGrown = context.ports.exposed().length > 0;
    if (context.publicPorts.haveGrown) settled(portals.all());
    return moved.length === 0 ? DONE : executor.run(planTelling(keysOf(moved)));
  }

  /** Closes the left ports to which no redirect leads. Then opens the listeners that wait for these ports. */
  async end(): Promise<DeliveredChange> {
    const { context, portals, executor, settled } = this.#tools;
    const left = context.ports.freeLeftPorts((key) => this.#leadsAway(key));
    await executor.run([{ do: 'close', keys: left }]);
    const waiting = [...portals.all()].filter((active) => !active.isComplete);
    const opened = waiting.filter((active) => active.openListeners());
    settled(waiting);
    return executor.run(planTelling(keysOf(opened)));
  }

  /** Whether no redirect leads to the port that the portal with this key has left. */
  #leadsAway(key: string): boolean {
    const [active] = this.#tools.portals.existing([key]);
    return active === undefined ? !this.#tools.redirects.isFailing : active.redirectProgress.isInPlace;
  }
}

function keysOf(portals: readonly ActivePortal[]): string[] {
  return portals.map(({ key }) => key);
}
