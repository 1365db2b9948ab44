import type { DescriptorBudget } from '../../shared/budget.js';
import type { ClientKey } from '../clientkey.js';
import type { ClientTable } from './clients.js';

/** A connection may be ended for the sake of other clients when it has been idle for so long, ms. */
const IDLE = 5000;
/** Part of all descriptors that connections waiting in one worker may hold, one each. */
const WAITING_SHARE = 1 / 128;
/**
 * After a connection of another client, all connections are accepted for this time, ms. The kernel hands them
 * out in the order in which they came. A client behind many connections of one other client can only be seen
 * if those do not wait in the kernel.
 */
const LOOKOUT = 30_000;
/**
 * If only one client has connections, its new ones wait in the kernel for this time, ms. Then they are
 * accepted for a while, to see whether another client waits behind them.
 */
const PATIENCE = 15_000;

export enum Decision {
  Serve,
  Wait,
  Refuse,
}

/** A connection that waits. */
export interface Visitor {
  readonly client: ClientKey;
}

/**
 * Decides who is let in while descriptors are nearly used up. The client that has the most connections waits.
 * Any other client is served, in the place of that client's longest idle connection. While there is room, all
 * come in.
 */
export class Door<V extends Visitor> {
  #waiting: V[] = [];
  #lookoutUntil = Number.NEGATIVE_INFINITY;
  /** When no more could wait; Infinity while they can. */
  #fullSince = Number.POSITIVE_INFINITY;

  /**
   * @param now clock in milliseconds; the loop's
   * @param onLimited hears of a client that waits or loses connections, each time
   */
  constructor(
    readonly budget: DescriptorBudget,
    readonly clients: ClientTable,
    readonly now: () => number,
    readonly onLimited: (client: ClientKey) => void,
  ) {}

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether another connection may be accepted to be judged; else they all wait in the kernel. */
  mayOpen(): boolean {
    if (this.#hasRoom()) {
      this.#fullSince = Number.POSITIVE_INFINITY;
      return true;
    }
    const now = this.now();
    if (this.clients.size > 1 || now < this.#lookoutUntil) return true;
    this.#fullSince = Math.min(this.#fullSince, now);
    if (now - this.#fullSince < PATIENCE) return false;
    this.#fullSince = Number.POSITIVE_INFINITY;
    this.#lookoutUntil = now + LOOKOUT;
    return true;
  }

  /** Nothing is left for one more, whoever it may be. */
  makeRoom(): void {
    this.#endIdle(1);
  }

  /** What becomes of a new connection. */
  judge(client: ClientKey): Decision {
    if (!this.budget.isTight) return Decision.Serve;
    if (!this.#hasMost(client)) {
      this.#lookoutUntil = this.now() + LOOKOUT;
      this.#endIdle(this.clients.sessionsOf(client) + 1);
      return Decision.Serve;
    }
    this.onLimited(client);
    return this.#hasRoom() ? Decision.Wait : Decision.Refuse;
  }

  wait(visitor: V): void {
    this.#waiting.push(visitor);
  }

  /** Asks each that waits, in the order they came. @param letIn returns whether it no longer waits */
  admit(letIn: (visitor: V) => boolean): void {
    if (this.isEmpty) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const visitor of waiting) if (!letIn(visitor)) this.#waiting.push(visitor);
  }

  /** Whether one that waits may come in now. */
  isWelcome({ client }: V): boolean {
    return !this.budget.isTight || !this.#hasMost(client);
  }

  #hasRoom(): boolean {
    return this.isEmpty || this.#waiting.length < this.budget.limit * WAITING_SHARE;
  }

  #hasMost(client: ClientKey): boolean {
    const { greediest } = this.clients;
    return greediest !== null && this.clients.sessionsOf(client) >= greediest.sessions;
  }

  /**
   * Ends the longest idle connection of the client that has the most, if it has more than another will have.
   */
  #endIdle(share: number): void {
    const { greediest } = this.clients;
    if (greediest === null || greediest.sessions <= share) return;
    const { idlest, key } = greediest;
    if (idlest === null || this.now() - idlest.usedAt < IDLE) return;
    this.onLimited(key);
    idlest.evict();
  }
}
