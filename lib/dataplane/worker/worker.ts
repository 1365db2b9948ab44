import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Admission } from '../../portal/admission.js';
import { EPOLLIN } from '../../sys/constants.js';
import { checked } from '../../sys/errno.js';
import { localPorts } from '../../sys/portrange.js';
import { Wakeup } from '../../sys/wakeup.js';
import { DescriptorBudget } from '../shared/budget.js';
import { workerCells } from '../shared/counters.js';
import { EventLimiter } from '../shared/eventlimiter.js';
import type {
  DataplaneEvent,
  FromWorker,
  ToWorker,
  WorkerListener,
  WorkerPortal,
  WorkerSetup,
} from '../shared/messages.js';
import type { Answerers, Asked, PortalChange, Topic } from '../shared/questions.js';
import type { BalancerContext } from './balancer.js';
import { EventLoop } from './loop.js';
import { PinTable } from './pins.js';
import { ServedPortal } from './servedportal.js';
import { ServiceEndpoints } from './serviceendpoints.js';
import { SessionListing } from './sessionlisting.js';
import type { TcpListener } from './tcp/listener.js';
import { TcpRelay } from './tcp/relay.js';
import { portsToReuse } from './tcp/reusedports.js';
import { UdpListener } from './udp/listener.js';
import { UdpRelay } from './udp/relay.js';
import type { EndpointSocket } from './udp/sockets/endpointsocket.js';
import { LocalPorts } from './udp/sockets/localports.js';

/** A storm of events is told to the main thread once in this time, ms. */
const REPORT_PERIOD = 1000;

interface Active {
  readonly state: ServedPortal;
  readonly protocol: WorkerPortal['protocol'];
  listeners: readonly (TcpListener | UdpListener)[];
}

/** A data-plane thread: applies what the control plane sends, relays until it is told to stop. */
class DataplaneWorker {
  readonly #loop = new EventLoop((event) => this.#report(event));
  readonly #port: MessagePort;
  readonly #wakeup: Wakeup;
  readonly #cells: Float64Array;
  readonly #context: BalancerContext;
  readonly #tcp: TcpRelay;
  readonly #udp: UdpRelay;
  readonly #listing: SessionListing;
  readonly #portals = new Map<number, Active>();
  readonly #answerers: Answerers = {
    apply: (change) => this.#apply(change),
    sessions: (question) => this.#listing.page(question),
  };
  readonly #limiter = new EventLimiter(REPORT_PERIOD, (untold) => this.#send({ type: 'untold', untold }));

  constructor(setup: WorkerSetup, port: MessagePort) {
    this.#port = port;
    this.#cells = workerCells(setup.counters, setup.index);
    const now = () => this.#loop.now;
    this.#context = {
      pins: new PinTable(setup.maxPins, now),
      services: new ServiceEndpoints(),
      roundRobin: new Int32Array(setup.roundRobin),
      now,
    };
    const budget = new DescriptorBudget(setup.budget);
    const report = (event: DataplaneEvent) => this.#report(event);
    const ports = new LocalPorts<EndpointSocket>(localPorts(), setup.index, setup.workers);
    this.#udp = new UdpRelay(this.#loop, ports, budget, setup.maxFlows, setup.udpTimeout, report);
    this.#tcp = new TcpRelay(
      this.#loop,
      budget,
      (count) => this.#udp.lifetimes.freeIdle(count),
      report,
      () => portsToReuse(localPorts(), setup.index, setup.workers),
    );
    this.#listing = new SessionListing(this.#tcp, this.#udp.table, now);
    this.#loop.addTask(this.#limiter);
    this.#wakeup = Wakeup.from(setup.wakeupFd);
    const messages = { owner: 'control plane', onReady: () => this.#readMessages() };
    const isWatched = this.#loop.watch(setup.wakeupFd, EPOLLIN, messages);
    checked('epoll_ctl', isWatched ? 0 : -1);
  }

  run(): void {
    this.#loop.run();
    this.#port.close();
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  /**
   * Reads what the main thread says. A listing ends the turn: many may be asked for at once,
   * and between two of them the worker relays.
   * @returns 0, or the errno of an eventfd that cannot be read
   */
  #readMessages(): number {
    const code = this.#wakeup.clear();
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return code;
      const message = received.message as ToWorker;
      this.#handle(message);
      if (message.type !== 'ask' || message.topic !== 'sessions') continue;
      this.#wakeup.signal();
      return 0;
    }
  }

  #handle(message: ToWorker): void {
    switch (message.type) {
      case 'ask':
        this.#send(this.#answer(message));
        break;
      case 'stop':
        for (const active of this.#portals.values()) this.#closeListeners(active, []);
        this.#tcp.resetAll();
        this.#loop.stop();
        break;
    }
  }

  /** @throws Error of a change that was made in part: the worker must not go on with it */
  #answer<T extends Topic>({ id, topic, question }: Asked<T>): FromWorker {
    try {
      return { type: 'answer', id, answer: this.#answerers[topic](question) };
    } catch (error) {
      if (topic === 'apply') throw error;
      return { type: 'noAnswer', id, reason: (error as Error).message };
    }
  }

  /** All portals are there before the first is told who may use it: that may name another portal. */
  #apply({ set, remove }: PortalChange): null {
    for (const slot of remove) this.#remove(slot);
    const changed = set.map((portal) => this.#update(portal));
    for (const [index, active] of changed.entries()) {
      this.#setListeners(active, set[index].listeners);
      this.#setAdmission(active, set[index].admission);
    }
    return null;
  }

  #setAdmission(active: Active, admission: Admission<number>): void {
    const changed = active.state.admit(admission, (slot) => this.#portals.get(slot)?.state);
    if (!changed) return;
    for (const listener of active.listeners) {
      if (listener instanceof UdpListener) listener.admissionChanged();
    }
  }

  #update(portal: WorkerPortal): Active {
    let active = this.#portals.get(portal.slot);
    if (active === undefined) {
      const state = new ServedPortal(portal, this.#context, this.#cells);
      active = { state, protocol: portal.protocol, listeners: [] };
      this.#portals.set(portal.slot, active);
    }
    active.state.update(portal);
    return active;
  }

  #setListeners(active: Active, wanted: readonly WorkerListener[]): void {
    this.#closeListeners(active, wanted);
    for (const { fd, redirectedPort } of wanted) {
      if (active.listeners.some((listener) => listener.fd === fd)) continue;
      const listener =
        active.protocol === 'TCP'
          ? this.#tcp.listen(fd, active.state, redirectedPort)
          : this.#udp.listen(fd, active.state);
      active.listeners = active.listeners.concat(listener);
    }
  }

  #closeListeners(active: Active, wanted: readonly WorkerListener[]): void {
    const isWanted = (listener: TcpListener | UdpListener) => wanted.some(({ fd }) => fd === listener.fd);
    const unwanted = active.listeners.filter((listener) => !isWanted(listener));
    if (unwanted.length === 0) return;
    active.listeners = active.listeners.filter(isWanted);
    for (const listener of unwanted) listener.close();
  }

  #remove(slot: number): void {
    const active = this.#portals.get(slot);
    if (active === undefined) return;
    this.#closeListeners(active, []);
    active.state.detach();
    this.#portals.delete(slot);
  }

  #report(event: DataplaneEvent): void {
    if (this.#limiter.admit(event, this.#loop.now)) this.#send({ type: 'event', event });
  }
}

const { setup, port } = workerData as { setup: WorkerSetup; port: MessagePort };
new DataplaneWorker(setup, port).run();
