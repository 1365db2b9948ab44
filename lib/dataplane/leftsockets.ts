import { type FlowIndex, NONE } from './flowtable.js';

/** How long, ms, an answer may take: resolvers wait 5 s for one. */
const STAY = 5000;

interface LeftSocket {
  readonly fd: number;
  readonly until: number;
}

/**
 * Sockets that flows have left for another endpoint. They stay open for the answers to what was asked before: an
 * endpoint that leaves its Service ends in its own time. Each flow has one at most.
 */
export class LeftSockets {
  /** In the order of their time. */
  readonly #sockets = new Map<FlowIndex, LeftSocket>();

  /** When the next one's time is up. */
  get deadline(): number {
    return this.#first()?.[1].until ?? Number.POSITIVE_INFINITY;
  }

  /** The flow must have none. */
  add(flow: FlowIndex, fd: number, now: number): void {
    this.#sockets.set(flow, { fd, until: now + STAY });
  }

  /** @returns the flow's socket, or NONE; closing it is the caller's */
  take(flow: FlowIndex): number {
    const { fd } = this.#sockets.get(flow) ?? { fd: NONE };
    this.#sockets.delete(flow);
    return fd;
  }

  /** @returns a flow whose left socket's time is up, or NONE */
  expired(now: number): FlowIndex {
    const first = this.#first();
    return first !== undefined && first[1].until <= now ? first[0] : NONE;
  }

  #first(): [FlowIndex, LeftSocket] | undefined {
    // Asked at every turn of the loop, and nearly always empty.
    if (this.#sockets.size === 0) return undefined;
    return this.#sockets.entries().next().value;
  }
}
