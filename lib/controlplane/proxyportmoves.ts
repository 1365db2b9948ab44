import type { ActivePortal, PortalContext } from './activeportal.js';
import type { ActivePortals } from './activeportals.js';
import { DONE, type Executor, type Underway } from './executor.js';
import { planTelling } from './plan.js';
import type { Redirects } from './redirects.js';

export interface MoveTools {
  readonly context: Pick<PortalContext, 'ports' | 'publicPorts'>;
  readonly portals: ActivePortals;
  readonly executor: Executor;
  readonly redirects: Pick<Redirects, 'isFailing'>;
  /** Tells what is missing now that proxy ports have moved as far as they can. */
  settled(portals: Iterable<ActivePortal>): void;
}

/**
 * Gives up proxy ports that clients of the node know from now on. The portal listens on another one too, its
 * redirect leads there, the old one closes, and then those that wait for it open.
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
    return this.#tools.context.ports.hasLeft;
  }

  /** Portals listen on another port too, and are redirected to there. */
  async begin(): Promise<Underway> {
    const { context, portals, executor, settled } = this.#tools;
    const moved = portals.some(context.ports.exposed()).filter((active) => active.movePort());
    context.publicPorts.haveGrown = context.ports.exposed().length > 0;
    if (context.publicPorts.haveGrown) settled(portals.all());
    return moved.length === 0 ? DONE : executor.run(planTelling(keysOf(moved)));
  }

  /** Ports to which nothing leads any more close, and who waits for them opens. */
  async end(): Promise<Underway> {
    const { context, portals, executor, settled } = this.#tools;
    const left = context.ports.letGo((key) => this.#leadsAway(key));
    await executor.run([{ do: 'close', keys: left }]);
    const waiting = [...portals.all()].filter((active) => !active.isComplete);
    const opened = waiting.filter((active) => active.openListeners());
    settled(waiting);
    return executor.run(planTelling(keysOf(opened)));
  }

  /** Whether no redirect leads to a port any more that this portal had, or has beside another. */
  #leadsAway(key: string): boolean {
    const [active] = this.#tools.portals.some([key]);
    return active === undefined ? !this.#tools.redirects.isFailing : active.redirectState === 'inPlace';
  }
}

function keysOf(portals: readonly ActivePortal[]): string[] {
  return portals.map(({ key }) => key);
}
