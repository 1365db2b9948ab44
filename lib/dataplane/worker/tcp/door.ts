import type { DescriptorBudget } from '../../shared/budget.js';
import type { ClientKey } from '../clientkey.js';
import type { ClientTable } from './clients.js';

/** A connection that was idle for this time may be ended to make room for other clients. */
const IDLE_MS = 5000;
/** Connections that wait hold one descriptor each. In one worker, they may hold this part of the budget. */
const WAITING_SHARE = 1 / 128;
/**
 * After a connection of another client, all connections are accepted for this time. The kernel hands out
 * connections in the order in which they came. So a client behind many connections of another one can only be
 * seen if those do not wait in the kernel.
 */
const LOOKOUT_MS = 30_000;
/**
 * If only one client has connections, its new ones wait in the kernel for this time. Then all are accepted
 * for {@link LOOKOUT_MS}, to see whether another client waits behind them.
 */
const BACKLOG_WAIT_MS = 15_000;

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
 * Decides about new connections. While descriptors are left, all are served. When descriptors are nearly used
 * up, new connections of the client that has the most must wait. A connection of any other client is served,
 * and the longest idle connection of the client with the most is ended for it.
 */
export class Door<V extends Visitor> {
  #waiting: V[] = [];
  #lookoutUntil = Number.NEGATIVE_INFINITY;
  /** When the last place for waiting connections was taken; Infinity while there is one. */
  #fullSince = Number.POSITIVE_INFINITY;

  /**
   * @param now the loop's clock, ms
   * @param onLimited called each time when a client's connection has to wait or is ended
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

  /** Whether one more connection may be accepted, to {@link judge} it. If not, all wait in the kernel. */
  mayOpen(): boolean {
    if (this.#hasRoom()) {
      this.#fullSince = Number.POSITIVE_INFINITY;
      return true;
    }
    const now = this.now();
    if (this.clients.size > 1 || now < this.#lookoutUntil) return true;
    this.#fullSince = Math.min(this.#fullSince, now);
    if (now - this.#fullSince < BACKLOG_WAIT_MS) return false;
    this.#fullSince = Number.POSITIVE_INFINITY;
    this.#lookoutUntil = now + LOOKOUT_MS;
    return true;
  }

  /** No descriptor is left: ends an idle connection of the client that has the most. */
  makeRoom(): void {
    this.#endIdle(1);
  }

  /** Decides about a new connection. */
  judge(client: ClientKey): Decision {
    if (!this.budget.isTight) return Decision.Serve;
    if (!this.#hasMost(client)) {
      this.#lookoutUntil = this.now() + LOOKOUT_MS;
      this.#endIdle(this.clients.sessionsOf(client) + 1);
      return Decision.Serve;
    }
    this.onLimited(client);
    return this.#hasRoom() ? Decision.Wait : Decision.Refuse;
  }

  wait(visitor: V): void {
    this.#waiting.push(visitor);
  }

  /** Visits the waiting connections in their order. @param letIn returns whether one stops waiting */
  admit(letIn: (visitor: V) => boolean): void {
    if (this.isEmpty) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const visitor of waiting) if (!letIn(visitor)) this.#waiting.push(visitor);
  }

  /** Whether a waiting connection may be served now. */
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
   * Ends the longest idle connection of the client that has the most.
   * @param share only if that client has more connections than this
   */
  #endIdle(share: number): void {
    const { greediest } = this.clients;
    if (greediest === null || greediest.sessions <= share) return;
    const { idlest, key } = greediest;
    if (idlest === null || this.now() - idlest.usedAt < IDLE_MS) return;
    this.onLimited(key);
    idlest.evict();
  }
}
