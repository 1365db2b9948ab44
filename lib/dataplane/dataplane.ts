import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Wakeup } from '../sys/wakeup.js';
import type { ListenerGroup } from './listeners.js';
import { DescriptorBudget } from './shared/budget.js';
import {
  base,
  type CounterValues,
  createCounterMemory,
  DETACHED,
  FIELD,
  MAX_PORTALS,
  sumCounters,
  workerCells,
  zeroSlot,
} from './shared/counters.js';
import type {
  DataplaneEvent,
  FromWorker,
  ToWorker,
  UntoldEvents,
  WorkerPortal,
  WorkerSetup,
} from './shared/messages.js';

/** Pins over all workers; kube-proxy's kernel modes have no cap, the userspace mode had none either. */
const MAX_PINS = 65536;

/** How often, ms, the connections that are left are counted before the end. */
const DRAIN_LOOK_MS = 50;

/** A portal as the control plane hands it to the data plane: with the listeners of all workers. */
export interface DataplanePortal extends Omit<WorkerPortal, 'listeners'> {
  readonly listeners: readonly PortalListener[];
  /** The one worker that it lives in, or null for all of them. */
  readonly onlyWorker: number | null;
}

export interface PortalListener {
  readonly group: ListenerGroup;
  /** See WorkerListener. */
  readonly redirectedPort: number | null;
}

export interface DataplaneOptions {
  readonly workers: number;
  /** Descriptors that all listeners, connections and flows may use together. */
  readonly descriptors: number;
  /** Most UDP flows of all workers together. */
  readonly maxFlows: number;
  /** See ProxyOptions.udpTimeoutMs. */
  readonly udpTimeout: number | null;
}

/** Of a change: how many workers have yet to say that they applied it, and who waits for them. */
interface Acknowledgement {
  waiting: number;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly wakeup: Wakeup;
  /** Slots of the portals that it was told of. */
  readonly slots: Set<number>;
  /** Resolves at the end of the thread, also one that came unasked long before {@link Dataplane.stop}. */
  readonly exited: Promise<unknown>;
}

interface DataplaneEvents {
  event: [DataplaneEvent];
  untold: [UntoldEvents];
  /** A worker ended by itself, which it never should. */
  failed: [Error];
}

/** The worker threads, seen from the main thread. */
export class Dataplane extends EventEmitter<DataplaneEvents> {
  readonly workers: number;
  readonly budget = new DescriptorBudget();
  readonly #cells: Float64Array[];
  readonly #roundRobin: Int32Array;
  readonly #threads: Thread[] = [];
  readonly #acknowledgements = new Map<number, Acknowledgement>();
  readonly #freeSlots: number[] = [];
  #nextSlot = DETACHED + 1;
  #sequence = 0;
  #failure: Error | null = null;
  #stopping = false;

  private constructor(options: DataplaneOptions) {
    super();
    this.workers = options.workers;
    this.budget.limit = options.descriptors;
    const counters = createCounterMemory(options.workers);
    const roundRobin = new SharedArrayBuffer(MAX_PORTALS * 4);
    this.#cells = Array.from({ length: options.workers }, (_, index) => workerCells(counters, index));
    this.#roundRobin = new Int32Array(roundRobin);
    for (let index = 0; index < options.workers; index++) {
      const wakeup = Wakeup.open();
      this.#threads.push(
        this.#startThread(wakeup, {
          index,
          workers: options.workers,
          wakeupFd: wakeup.fd,
          counters,
          roundRobin,
          budget: this.budget.memory,
          maxFlows: Math.max(1, Math.floor(options.maxFlows / options.workers)),
          maxPins: Math.floor(MAX_PINS / options.workers),
          udpTimeout: options.udpTimeout,
        }),
      );
    }
  }

  /** Starts the workers and waits until their loops run. */
  static async start(options: DataplaneOptions): Promise<Dataplane> {
    const dataplane = new Dataplane(options);
    await dataplane.#whenReady();
    return dataplane;
  }

  #startThread(wakeup: Wakeup, setup: WorkerSetup): Thread {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(new URL('./worker/worker.js', import.meta.url), {
      name: `relay-${setup.index}`,
      workerData: { setup, port: port2 },
      transferList: [port2],
    });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const thread = { worker, port: port1, wakeup, slots: new Set<number>(), exited };
    port1.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => {
      if (!this.#stopping) this.#fail(new Error(`relay worker ${setup.index} ended with code ${code}`));
    });
    return thread;
  }

  /** Nobody waits any longer for a worker that is gone. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { failed } of this.#acknowledgements.values()) failed(error);
    this.#acknowledgements.clear();
    this.emit('failed', error);
  }

  async #whenReady(): Promise<void> {
    await Promise.all(
      this.#threads.map(
        ({ port, worker }) =>
          new Promise<void>((resolve, reject) => {
            port.once('message', () => resolve());
            worker.once('error', reject);
          }),
      ),
    );
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'applied':
        this.#acknowledge(message.sequence);
        break;
      case 'event':
        this.emit('event', message.event);
        break;
      case 'untold':
        this.emit('untold', message.untold);
        break;
    }
  }

  #acknowledge(sequence: number): void {
    const entry = this.#acknowledgements.get(sequence);
    if (entry === undefined || --entry.waiting > 0) return;
    this.#acknowledgements.delete(sequence);
    entry.done();
  }

  #send(thread: Thread, message: ToWorker): void {
    thread.port.postMessage(message);
    thread.wakeup.signal();
  }

  /** A number for a new portal, its counters at zero. @throws Error when 65,535 portals exist */
  takeSlot(): number {
    const slot = this.#freeSlots.pop() ?? this.#nextSlot++;
    if (slot >= MAX_PORTALS) throw new Error(`more than ${MAX_PORTALS - 1} portals`);
    zeroSlot(this.#cells, slot);
    Atomics.store(this.#roundRobin, slot, 0);
    return slot;
  }

  /**
   * Applies one change in all workers; resolves when every worker has. From then on the workers own the listeners'
   * descriptors: a listener that a later `set` of its portal leaves out is closed by them. Rejects once a worker is gone.
   */
  apply(set: readonly DataplanePortal[], remove: readonly number[]): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const sequence = ++this.#sequence;
    return new Promise((resolve, failed) => {
      const done = () => {
        this.#freeSlots.push(...remove);
        resolve();
      };
      this.#acknowledgements.set(sequence, { waiting: this.workers, done, failed });
      for (const [index, thread] of this.#threads.entries()) {
        const own = set.filter((portal) => concerns(portal, thread, index));
        for (const slot of remove) thread.slots.delete(slot);
        for (const { slot } of own) thread.slots.add(slot);
        this.#send(thread, {
          type: 'apply',
          sequence,
          set: own.map((portal) => forWorker(portal, index)),
          remove,
        });
      }
    });
  }

  counters(slot: number): CounterValues {
    return sumCounters(this.#cells, slot);
  }

  /**
   * Resolves when no connection is open, the time, ms, is over, or `hurry` has resolved. New clients are served meanwhile: whoever
   * takes over may not be there before this process has ended.
   */
  async drain(timeout: number, hurry?: Promise<void>): Promise<void> {
    const started = performance.now();
    let isHurried = false;
    hurry?.then(() => {
      isHurried = true;
    });
    const isOver = () => isHurried || this.#failure !== null || performance.now() - started >= timeout;
    while (!isOver() && this.#hasConnections()) await sleep(DRAIN_LOOK_MS);
  }

  #hasConnections(): boolean {
    for (let slot = DETACHED; slot < this.#nextSlot; slot++) {
      const active = base(slot) + FIELD.connectionsActive;
      if (this.#cells.some((cells) => cells[active] !== 0)) return true;
    }
    return false;
  }

  /** Closes all listeners, resets the connections that are still open and ends the threads. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const thread of this.#threads) this.#send(thread, { type: 'stop' });
    await Promise.all(this.#threads.map(({ exited }) => exited));
    for (const { port, wakeup } of this.#threads) {
      port.close();
      wakeup.close();
    }
  }
}

/** A worker that a portal has left must hear so: it has connections of it, and listeners to close. */
function concerns({ onlyWorker, slot }: DataplanePortal, { slots }: Thread, worker: number): boolean {
  return onlyWorker === null || onlyWorker === worker || slots.has(slot);
}

function forWorker(portal: DataplanePortal, worker: number): WorkerPortal {
  const { listeners, onlyWorker: _, ...rest } = portal;
  return {
    ...rest,
    listeners: listeners.flatMap(({ group, redirectedPort }) => {
      const fd = group.fds[worker];
      return fd === null ? [] : [{ fd, redirectedPort }];
    }),
  };
}
