import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Protocol } from '../net/protocol.js';
import {
  type CarrierNumbers,
  type CarrierOptions,
  MAX_QUEUE_WORKERS,
  markOfWorker,
  queuesOf,
} from '../portal/carrier.js';
import { DataplanePins } from './dataplanepins.js';
import { concerns, type DataplanePortal, forWorker } from './dataplaneportal.js';
import { EndpointSums } from './endpointsums.js';
import { PortalIds } from './portalids.js';
import { DescriptorBudget } from './shared/budget.js';
import type { CarrierReasons, CarrierSetup, Forwarding } from './shared/carrier.js';
import type { CounterValues } from './shared/counters.js';
import type { Participant, ParticipantsPage } from './shared/participants.js';
import { FIRST_PAGE, type PageStart, type SessionFilter, type SessionsPage } from './shared/sessions.js';
import { WorkerThread, type WorkerThreadEvents } from './workerthread.js';

/** While the proxy drains, it counts the open connections this often. */
const DRAIN_POLL_MS = 50;

export interface DataplaneOptions {
  /**
   * Threads that relay, at least 1. Each has its own event loop. A portal listens in all of them or in one.
   */
  readonly workers: number;
  /**
   * Descriptors that the connections and flows of all workers may use together. Beyond it, idle pipes and
   * flows are closed, then idle connections of the client with the most. If that is not enough, new clients
   * wait in the kernel. See {@link Dataplane.budget}.
   */
  readonly descriptors: number;
  /**
   * Limit of UDP flows of all workers together. Each worker has an equal share, at least 1, and allocates
   * about 200 bytes for each flow at its start. Beyond the limit, a new flow takes the place of an old one,
   * see FlowTable.victim.
   */
  readonly maxFlows: number;
  /**
   * Limit of pins of all workers together. Each worker has an equal share, at least 1. Beyond it, the least
   * recently used pin is dropped. kube-proxy has no such limit in any mode. `--max-pins`: 65,536.
   */
  readonly maxPins: number;
  /** A UDP flow ends after this idle time. Null: conntrack's values, see ProxyOptions.udpTimeoutMs. */
  readonly udpTimeoutMs: number | null;
  /** See ProxyOptions.rtpsCopies. */
  readonly rtpsCopies: number;
  readonly carrier: CarrierNumbers & Pick<CarrierOptions, 'clusterCidrs'>;
}

/** The worker threads, seen from the main thread. */
export class Dataplane extends EventEmitter<WorkerThreadEvents> {
  /** The use and the limit of {@link DataplaneOptions.descriptors}. The limit may change at any time. */
  readonly budget = new DescriptorBudget();
  readonly pins = new DataplanePins(() => this.#threads.keys());
  readonly #ids: PortalIds;
  /** The workers in their order, each with the ids of the portals that it was told of. */
  readonly #threads: ReadonlyMap<WorkerThread, Set<number>>;
  #hasFailed = false;

  private constructor({
    workers,
    descriptors,
    maxFlows,
    maxPins,
    udpTimeoutMs,
    rtpsCopies,
    carrier,
  }: DataplaneOptions) {
    super();
    this.budget.limit = descriptors;
    this.#ids = new PortalIds(workers);
    const threads = Array.from({ length: workers }, (_, index) =>
      this.#startThread({
        index,
        workers,
        counters: this.#ids.counterMemory,
        roundRobin: this.#ids.roundRobinMemory,
        budget: this.budget.memory,
        maxFlows: Math.max(1, Math.floor(maxFlows / workers)),
        maxPins: Math.max(1, Math.floor(maxPins / workers)),
        pinCells: this.pins.cells.memory,
        udpTimeoutMs,
        rtpsCopies,
        carrier: carrierSetup(index, workers, carrier),
      }),
    );
    this.#threads = new Map(threads.map((thread) => [thread, new Set()]));
  }

  /** Starts the workers and waits until their loops run. */
  static async start(options: DataplaneOptions): Promise<Dataplane> {
    const dataplane = new Dataplane(options);
    await dataplane.apply([], []);
    return dataplane;
  }

  #startThread(setup: ConstructorParameters<typeof WorkerThread>[0]): WorkerThread {
    const thread = new WorkerThread(setup);
    thread.on('event', (event) => this.emit('event', event));
    thread.on('pins', (changes) => this.emit('pins', changes));
    thread.on('suppressed', (suppressed) => this.emit('suppressed', suppressed));
    thread.on('failed', (error) => {
      this.#hasFailed = true;
      this.emit('failed', error);
    });
    return thread;
  }

  /** An id for a new portal, see {@link PortalIds.take}. */
  takeId(): number {
    return this.#ids.take();
  }

  /**
   * Applies one change in all workers, and resolves when every worker has. From then on the workers own the
   * listeners' descriptors: if a later `set` of a portal leaves out a listener, the worker closes it.
   * @throws Error if a worker has ended
   */
  async apply(set: readonly DataplanePortal[], remove: readonly number[]): Promise<void> {
    const pinCells = this.pins.cells.change(set, remove);
    // Before the listeners of their Services are there.
    const restored = this.pins.restoreFor(set);
    const answers = Array.from(this.#threads, ([thread, told], worker) => {
      const own = set.filter((portal) => concerns(portal, told, worker));
      for (const id of remove) told.delete(id);
      for (const { id } of own) told.add(id);
      return thread.ask('apply', {
        set: own.map((portal) => forWorker(portal, worker, pinCells.cells.get(portal.id))),
        remove,
      });
    });
    await Promise.all([restored, ...answers]);
    this.#ids.giveBack(remove);
    pinCells.settle();
  }

  /**
   * The sessions that the workers relay, page by page. A worker is asked for a page when the caller wants it.
   * @param maxListed how many sessions all pages together list; further sessions are counted only
   * @throws Error if a worker has ended
   */
  async *sessions(filter: SessionFilter, maxListed: number): AsyncGenerator<SessionsPage> {
    let left = maxListed;
    for (const thread of this.#threads.keys()) {
      for (let from: PageStart | null = FIRST_PAGE; from !== null; ) {
        const page: SessionsPage = await thread.ask('sessions', { ...filter, from, maxListed: left });
        yield page;
        left -= page.sessions.length;
        from = page.next;
      }
    }
  }

  /**
   * The DDS participants that the workers have heard of, page by page, as {@link sessions}.
   * @param service only those of this Service, `namespace/name`; null for all
   * @throws Error if a worker has ended
   */
  async *participants(service: string | null): AsyncGenerator<readonly Participant[]> {
    for (const thread of this.#threads.keys()) {
      for (let from: number | null = 0; from !== null; ) {
        const page: ParticipantsPage = await thread.ask('participants', { service, from });
        yield page.participants;
        from = page.next;
      }
    }
  }

  /**
   * What the workers have counted of the endpoints of portals. Each worker answers in one go, so ask for
   * about a thousand endpoints at a time.
   * @param ids of the portals
   * @throws Error if a worker has ended
   */
  async usedEndpoints(ids: readonly number[]): Promise<EndpointSums> {
    const sums = new EndpointSums();
    const answers = Array.from(this.#threads.keys(), (thread) => thread.ask('endpoints', ids));
    for (const answer of await Promise.all(answers)) sums.add(answer);
    return sums;
  }

  /**
   * Opens in all workers what the kernel carrier needs. Workers that have it open already keep it.
   * @returns for each protocol why it cannot be had in one of the workers; null if all have it
   * @throws Error if a worker has ended
   */
  async openCarrier(): Promise<CarrierReasons> {
    const answers = await Promise.all(
      Array.from(this.#threads.keys(), (thread) => thread.ask('openCarrier', null)),
    );
    const first = (protocol: Protocol) =>
      answers.map((reasons) => reasons[protocol]).find((reason) => reason !== null) ?? null;
    return { TCP: first('TCP'), UDP: first('UDP') };
  }

  /**
   * Tells all workers whether this node forwards.
   * @throws Error if a worker has ended
   */
  async setForwarding(forwarding: Forwarding): Promise<void> {
    await Promise.all(Array.from(this.#threads.keys(), (thread) => thread.ask('forwarding', forwarding)));
  }

  counters(id: number): CounterValues {
    return this.#ids.counters(id);
  }

  /** Open TCP connections of portals that were removed. */
  get connectionsOfRemoved(): number {
    return this.#ids.connectionsOfRemoved;
  }

  /**
   * Resolves when no connection is open, when the time is over, when `hurry` resolves, or when a worker has
   * ended. New clients are served meanwhile: a successor may start only after this process has ended.
   */
  async drain(timeoutMs: number, hurry?: Promise<void>): Promise<void> {
    const started = performance.now();
    let isHurried = false;
    hurry?.then(() => {
      isHurried = true;
    });
    const isOver = () => isHurried || this.#hasFailed || performance.now() - started >= timeoutMs;
    while (!isOver() && this.#ids.hasConnections) await sleep(DRAIN_POLL_MS);
  }

  /** Closes all listeners, resets all connections and ends the threads. */
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#threads.keys(), (thread) => thread.stop()));
  }
}

function carrierSetup(worker: number, workers: number, carrier: DataplaneOptions['carrier']): CarrierSetup {
  const numbers = Array.from({ length: MAX_QUEUE_WORKERS }, (_, number) => number);
  const held = numbers.filter((number) => number === worker || (worker === 0 && number >= workers));
  return {
    queues: worker < MAX_QUEUE_WORKERS ? queuesOf(worker, carrier) : null,
    ownMark: markOfWorker(carrier.markMask, worker),
    ownMask: carrier.markMask,
    heldMarks: held.map((number) => markOfWorker(carrier.markMask, number)),
    isMarkShared: (worker % MAX_QUEUE_WORKERS) + MAX_QUEUE_WORKERS < workers,
    clusterCidrs: carrier.clusterCidrs,
  };
}
