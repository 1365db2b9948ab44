import { EMFILE, errnoName } from '../../../sys/errno.js';
import { closeSocket, resetOnClose, takeError } from '../../../sys/socket.js';
import type { DescriptorBudget } from '../../shared/budget.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { type ClientKey, clientAddress } from '../clientkey.js';
import type { EventLoop } from '../loop.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { ClientTable } from './clients.js';
import { Decision, Door } from './door.js';
import { TcpListener } from './listener.js';
import type { PipePool } from './pipepool.js';

/**
 * Paused listeners and waiting connections look this often whether descriptors have come free, in this
 * worker or in another one.
 */
const RETRY_MS = 100;
const DESCRIPTORS_PER_SESSION = 2;

/** A connection that was accepted. */
export interface Arrival {
  readonly fd: number;
  readonly portal: ServedPortal;
  readonly client: ClientKey;
  /** Null where clients are not pinned. */
  readonly pinKey: PinKey | null;
  /** See hopsOnward. */
  readonly hops: number;
}

/** What an {@link Acceptor} works with. */
export interface AcceptorContext {
  readonly loop: EventLoop;
  readonly budget: DescriptorBudget;
  readonly pipes: PipePool;
  readonly clients: ClientTable;
  /** Asked for idle descriptors when the budget is used up. @returns how many came free */
  freeDescriptors(count: number): number;
  /** Starts the session of a connection. Two descriptors of the budget belong to the session. */
  serve(arrival: Arrival): void;
  /** Takes events for the log. */
  report(event: DataplaneEvent): void;
}

/**
 * The listeners of one worker, and what becomes of the connections that they accept. While descriptors are
 * short, connections wait, and listeners pause.
 */
export class Acceptor {
  readonly #context: AcceptorContext;
  readonly #door: Door<Arrival>;
  readonly #paused = new Set<TcpListener>();
  #retryAt = 0;

  constructor(context: AcceptorContext) {
    const { loop, budget, clients, report } = context;
    this.#context = context;
    this.#door = new Door(
      budget,
      clients,
      () => loop.now,
      (client) => report({ kind: 'clientLimited', client: clientAddress(client) }),
    );
  }

  /** When to call {@link retry}, ms of the loop's clock; Infinity while nothing waits. */
  get deadline(): number {
    const isSomethingWaiting = this.#paused.size > 0 || !this.#door.isEmpty;
    return isSomethingWaiting ? this.#retryAt : Number.POSITIVE_INFINITY;
  }

  /** Serves waiting connections and resumes paused listeners, as far as descriptors are free. */
  retry(now: number): void {
    if (now < this.#retryAt) return;
    this.#retryAt = this.#context.loop.now + RETRY_MS;
    this.#door.admit((arrival) => this.#letIn(arrival));
    for (const listener of this.#paused) {
      if (!this.reserve()) return;
      this.unreserve();
      this.#paused.delete(listener);
      this.#context.loop.watchInput(listener.fd, listener);
    }
  }

  /** Starts to accept the connections of a listening socket. @param redirectedPort see WorkerListener */
  listen(fd: number, portal: ServedPortal, redirectedPort: number | null): TcpListener {
    const listener = new TcpListener(this, fd, portal, redirectedPort);
    this.#context.loop.watchInput(fd, listener);
    return listener;
  }

  /** Closes a listener. Connections that the kernel has completed before are accepted first. */
  close(listener: TcpListener): void {
    listener.acceptAll();
    this.#paused.delete(listener);
    this.#context.loop.closeUnshared(listener.fd);
  }

  /**
   * Reserves the descriptors of a session before a connection is accepted. {@link receive} takes them, or
   * {@link unreserve} gives them back.
   * @returns false if no connection may be accepted now
   */
  reserve(): boolean {
    return this.#door.mayOpen() && this.#takeDescriptors();
  }

  unreserve(): void {
    this.#context.budget.give(DESCRIPTORS_PER_SESSION);
  }

  /**
   * Takes an accepted connection with the descriptors reserved for it.
   * @returns false if the connection must be refused
   */
  receive(arrival: Arrival): boolean {
    const decision = this.#door.judge(arrival.client);
    if (decision === Decision.Serve) this.#context.serve(arrival);
    else if (decision === Decision.Wait) this.#letWait(arrival);
    return decision !== Decision.Refuse;
  }

  /**
   * Stops a listener until descriptors come free. Its clients wait in the kernel's backlog.
   * @param code EMFILE, or the errno of accept4(2)
   */
  pause(listener: TcpListener, code: number): void {
    const { loop } = this.#context;
    loop.unwatch(listener.fd);
    this.#paused.add(listener);
    this.#retryAt = loop.now + RETRY_MS;
    if (code === EMFILE) this.report({ kind: 'descriptorsOut' });
    else this.report({ kind: 'listenerWaits', portal: listener.portal.key, reason: errnoName(code) });
  }

  report(event: DataplaneEvent): void {
    this.#context.report(event);
  }

  /** Resets the connections that wait. */
  resetWaiting(): void {
    this.#door.admit((arrival) => {
      this.#turnAway(arrival);
      return true;
    });
  }

  /** Takes descriptors from the budget. If it has none, idle pipes, flows and sessions give up theirs. */
  #takeDescriptors(): boolean {
    const { budget, pipes, freeDescriptors } = this.#context;
    if (budget.take(DESCRIPTORS_PER_SESSION)) return true;
    pipes.shrink();
    if (budget.take(DESCRIPTORS_PER_SESSION)) return true;
    if (freeDescriptors(DESCRIPTORS_PER_SESSION) < DESCRIPTORS_PER_SESSION) this.#door.makeRoom();
    return budget.take(DESCRIPTORS_PER_SESSION);
  }

  /** A waiting connection holds one descriptor: the client's. */
  #letWait(arrival: Arrival): void {
    const { budget, loop } = this.#context;
    budget.give(DESCRIPTORS_PER_SESSION - 1);
    if (this.#door.isEmpty) this.#retryAt = loop.now + RETRY_MS;
    this.#door.wait(arrival);
  }

  /** @returns false if the connection must wait longer */
  #letIn(arrival: Arrival): boolean {
    const { budget, serve } = this.#context;
    if (takeError(arrival.fd) !== 0) {
      this.#turnAway(arrival);
      return true;
    }
    if (!this.#door.isWelcome(arrival) || !budget.take(DESCRIPTORS_PER_SESSION - 1)) return false;
    serve(arrival);
    return true;
  }

  /** Resets a connection that waited. */
  #turnAway({ fd, portal }: Arrival): void {
    portal.count(FIELD.connectionsRefused, 1);
    this.#context.budget.give(1);
    resetOnClose(fd);
    closeSocket(fd);
  }
}
