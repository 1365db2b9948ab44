import { EMFILE, errnoName } from '../../../sys/errno.js';
import { closeSocket, resetOnClose, takeError } from '../../../sys/socket.js';
import type { DescriptorBudget } from '../../shared/budget.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { nodeFailure } from '../blame.js';
import type { ClientKey } from '../clientkey.js';
import { clientAddress } from '../clientkey.js';
import type { EventLoop, Task } from '../loop.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { ClientTable } from './clients.js';
import { Dialer } from './dialer.js';
import { Door, Verdict } from './door.js';
import { TcpListener } from './listener.js';
import { PipePool } from './pipepool.js';
import { TcpSession } from './session.js';
import { SessionTimers } from './sessiontimers.js';
import { StreamResources } from './stream.js';

/**
 * How often, ms, paused listeners and waiting connections look whether descriptors have come free, here or in
 * another worker.
 */
const PAUSE = 100;
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

/** Listeners and sessions of one worker. */
export class TcpRelay implements Task {
  readonly resources: StreamResources;
  readonly clients = new ClientTable();
  readonly dialer: Dialer;
  readonly timers: SessionTimers;
  readonly door: Door<Arrival>;
  readonly #paused = new Set<TcpListener>();
  #unfinished: TcpSession[] = [];
  /** By the client's descriptor. */
  readonly #sessions: (TcpSession | undefined)[] = [];
  #resumeAt = 0;

  /**
   * @param freeDescriptors asked for idle descriptors when the budget is used up; returns how many it gave
   *   back
   * @param report takes events for the log
   * @param readPorts looks up the local ports that it may bind; see portsToReuse
   */
  constructor(
    readonly loop: EventLoop,
    readonly budget: DescriptorBudget,
    readonly freeDescriptors: (count: number) => number,
    readonly report: (event: DataplaneEvent) => void,
    readPorts: () => Uint16Array,
  ) {
    this.timers = new SessionTimers(loop);
    this.dialer = new Dialer(readPorts, () => loop.now);
    this.door = new Door(
      budget,
      this.clients,
      () => loop.now,
      (client) => report({ kind: 'clientLimited', client: clientAddress(client) }),
    );
    this.resources = new StreamResources(new PipePool(budget));
    loop.addTask(this);
  }

  get deadline(): number {
    if (this.#unfinished.length > 0) return 0;
    const isSomebodyWaiting = this.#paused.size > 0 || !this.door.isEmpty;
    return isSomebodyWaiting ? this.#resumeAt : Number.POSITIVE_INFINITY;
  }

  expire(now: number): void {
    this.#continue();
    if (now >= this.#resumeAt) this.#resume();
  }

  /** Opens a listener's door. @param redirectedPort see WorkerListener */
  listen(fd: number, portal: ServedPortal, redirectedPort: number | null): TcpListener {
    const listener = new TcpListener(this, fd, portal, redirectedPort);
    this.loop.watchInput(fd, listener);
    return listener;
  }

  /** Closes a listener; clients that the kernel had already let in are served first. */
  close(listener: TcpListener): void {
    listener.acceptAll();
    this.#paused.delete(listener);
    this.loop.closeUnshared(listener.fd);
  }

  /** Reserves a session's descriptors, from idle pipes, flows and sessions if need be. */
  reserve(): boolean {
    if (this.budget.take(DESCRIPTORS_PER_SESSION)) return true;
    this.resources.pipes.shrink();
    if (this.budget.take(DESCRIPTORS_PER_SESSION)) return true;
    if (this.freeDescriptors(DESCRIPTORS_PER_SESSION) < DESCRIPTORS_PER_SESSION) this.door.makeRoom();
    return this.budget.take(DESCRIPTORS_PER_SESSION);
  }

  unreserve(): void {
    this.budget.give(DESCRIPTORS_PER_SESSION);
  }

  /** Takes a connection with its reserve. @returns false where it is to be refused */
  receive(arrival: Arrival): boolean {
    const verdict = this.door.judge(arrival.client);
    if (verdict === Verdict.Serve) this.#begin(arrival);
    else if (verdict === Verdict.Wait) this.#letWait(arrival);
    return verdict !== Verdict.Refuse;
  }

  #begin({ fd, portal, client, pinKey, hops }: Arrival): void {
    portal.count(FIELD.connectionsTotal, 1);
    portal.count(FIELD.connectionsActive, 1);
    const session = new TcpSession(this, portal, fd, client, pinKey, hops);
    this.#sessions[fd] = session;
    session.start();
  }

  /** It holds its own descriptor only. */
  #letWait(arrival: Arrival): void {
    this.budget.give(DESCRIPTORS_PER_SESSION - 1);
    if (this.door.isEmpty) this.#resumeAt = this.loop.now + PAUSE;
    this.door.wait(arrival);
  }

  /** @returns whether it waits no longer */
  #letIn(arrival: Arrival): boolean {
    if (takeError(arrival.fd) !== 0) {
      this.#turnAway(arrival);
      return true;
    }
    if (!this.door.isWelcome(arrival) || !this.budget.take(DESCRIPTORS_PER_SESSION - 1)) return false;
    this.#begin(arrival);
    return true;
  }

  #turnAway({ fd, portal }: Arrival): void {
    portal.count(FIELD.connectionsRefused, 1);
    this.budget.give(1);
    resetOnClose(fd);
    closeSocket(fd);
  }

  sessionClosed(session: TcpSession): void {
    this.#sessions[session.clientFd] = undefined;
    this.clients.leave(session.origin, session);
    session.portal.count(FIELD.connectionsActive, -1);
    this.unreserve();
  }

  /**
   * The open sessions, in the order of their clients' descriptors.
   * @param fd the first descriptor to look at
   */
  *sessionsFrom(fd: number): Iterable<TcpSession> {
    for (let at = fd; at < this.#sessions.length; at++) {
      const session = this.#sessions[at];
      if (session !== undefined) yield session;
    }
  }

  /** Ends what is still open, so that both sides learn of it at once. */
  resetAll(): void {
    for (const session of this.sessionsFrom(0)) session.reset();
    this.door.admit((arrival) => {
      this.#turnAway(arrival);
      return true;
    });
  }

  /**
   * The listener stays quiet until descriptors come free; its clients wait in the kernel's backlog.
   * @param code EMFILE, or what else the node is short of
   */
  pause(listener: TcpListener, code: number): void {
    this.loop.unwatch(listener.fd);
    this.#paused.add(listener);
    this.#resumeAt = this.loop.now + PAUSE;
    if (code === EMFILE) this.report({ kind: 'descriptorsOut' });
    else this.report({ kind: 'listenerWaits', portal: listener.portal.key, reason: errnoName(code) });
  }

  reportNodeFailure(portal: ServedPortal, target: Target, code: number): void {
    this.report(nodeFailure(portal, target, code));
  }

  continueLater(session: TcpSession): void {
    if (session.queued) return;
    session.queued = true;
    this.#unfinished.push(session);
  }

  #continue(): void {
    const sessions = this.#unfinished;
    this.#unfinished = [];
    for (const session of sessions) {
      session.queued = false;
      session.pump();
    }
  }

  #resume(): void {
    this.#resumeAt = this.loop.now + PAUSE;
    this.door.admit((arrival) => this.#letIn(arrival));
    for (const listener of this.#paused) {
      if (!this.door.mayOpen() || !this.reserve()) return;
      this.unreserve();
      this.#paused.delete(listener);
      this.loop.watchInput(listener.fd, listener);
    }
  }
}
