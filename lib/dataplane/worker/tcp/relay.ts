import type { DescriptorBudget } from '../../shared/budget.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { nodeFailure } from '../blame.js';
import type { EventLoop, Task } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { SessionHolder } from '../sessionlisting.js';
import type { Target } from '../target.js';
import { Acceptor, type Arrival } from './acceptor.js';
import { ClientTable } from './clients.js';
import { Dialer } from './dialer.js';
import { PipePool } from './pipepool.js';
import { TcpSession } from './session.js';
import { SessionTimers } from './sessiontimers.js';
import { StreamResources } from './stream.js';

/** The TCP sessions of one worker. */
export class TcpRelay implements Task, SessionHolder {
  readonly acceptor: Acceptor;
  readonly clients = new ClientTable();
  readonly dialer: Dialer;
  readonly resources: StreamResources;
  readonly timers: SessionTimers;
  /** Sessions that have more data to move. They go on after the other descriptors had their turn. */
  #unfinished: TcpSession[] = [];
  /** By the client's descriptor. */
  readonly #sessions: (TcpSession | undefined)[] = [];

  /**
   * @param freeDescriptors see AcceptorContext
   * @param report takes events for the log
   * @param readPorts looks up the local ports that the dialer may bind; see portsToReuse
   */
  constructor(
    readonly loop: EventLoop,
    budget: DescriptorBudget,
    freeDescriptors: (count: number) => number,
    readonly report: (event: DataplaneEvent) => void,
    readPorts: () => Uint16Array,
  ) {
    const pipes = new PipePool(budget);
    this.timers = new SessionTimers(loop);
    this.dialer = new Dialer(readPorts, () => loop.now);
    this.resources = new StreamResources(pipes);
    const serve = (arrival: Arrival) => this.#serve(arrival);
    this.acceptor = new Acceptor({
      loop,
      budget,
      pipes,
      clients: this.clients,
      freeDescriptors,
      serve,
      report,
    });
    loop.addTask(this);
  }

  get deadline(): number {
    return this.#unfinished.length > 0 ? 0 : this.acceptor.deadline;
  }

  expire(now: number): void {
    this.#continue();
    this.acceptor.retry(now);
  }

  #serve({ fd, portal, client, pinKey, hops }: Arrival): void {
    portal.count(FIELD.connectionsTotal, 1);
    portal.count(FIELD.connectionsActive, 1);
    const session = new TcpSession(this, portal, fd, client, pinKey, hops);
    this.#sessions[fd] = session;
    session.start();
  }

  /**
   * Closes a connection to an endpoint.
   * @param localPort see Dialer.lastPort
   * @param hasEndedFirst whether this side ended it before the endpoint did
   */
  hangUp(fd: number, target: Target, localPort: number, hasEndedFirst: boolean): void {
    this.loop.closeUnshared(fd);
    this.dialer.noteClose(target, localPort, hasEndedFirst);
  }

  sessionClosed(session: TcpSession): void {
    this.#sessions[session.clientFd] = undefined;
    this.clients.leave(session.origin, session);
    session.portal.count(FIELD.connectionsActive, -1);
    this.acceptor.unreserve();
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

  /** Resets all connections, so that clients and endpoints learn at once that this process ends. */
  resetAll(): void {
    for (const session of this.sessionsFrom(0)) session.reset();
    this.acceptor.resetWaiting();
  }

  reportNodeFailure(portal: ServedPortal, target: Target, code: number): void {
    this.report(nodeFailure(portal, target, code));
  }

  /** Pumps a session again after the other descriptors had their turn. */
  continueLater(session: TcpSession): void {
    if (session.isQueued) return;
    session.isQueued = true;
    this.#unfinished.push(session);
  }

  #continue(): void {
    const sessions = this.#unfinished;
    this.#unfinished = [];
    for (const session of sessions) {
      session.isQueued = false;
      session.pump();
    }
  }
}
