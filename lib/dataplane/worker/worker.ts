import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { EPOLLIN } from '../../sys/constants.js';
import { checked } from '../../sys/errno.js';
import { localPorts } from '../../sys/portrange.js';
import { collectStartupGarbage } from '../../sys/startup-garbage.js';
import { Wakeup } from '../../sys/wakeup.js';
import { DescriptorBudget } from '../shared/budget.js';
import { workerCells } from '../shared/counters.js';
import { EventLimiter } from '../shared/eventlimiter.js';
import type { DataplaneEvent, FromWorker, ToWorker, WorkerSetup } from '../shared/messages.js';
import type { Answerers, Asked, Topic } from '../shared/questions.js';
import { usedEndpoints } from './endpointlisting.js';
import { Handovers } from './handovers.js';
import { EventLoop } from './loop.js';
import { PinOutbox } from './pinoutbox.js';
import { PinTable } from './pins.js';
import { PortalTable } from './portaltable.js';
import { ServiceEndpoints } from './serviceendpoints.js';
import { SessionListing } from './sessionlisting.js';
import { TcpRelay } from './tcp/relay.js';
import { portsToReuse } from './tcp/reusedports.js';
import { UdpRelay } from './udp/relay.js';
import type { Participants } from './udp/rtps/participants.js';
import { RtpsServices } from './udp/rtps/services.js';
import type { EndpointSocket } from './udp/sockets/endpointsocket.js';
import { LocalPorts } from './udp/sockets/localports.js';

/** Period of the {@link EventLimiter}: the main thread learns of suppressed events this often. */
const REPORT_PERIOD_MS = 1000;

/** A data-plane thread. It relays, answers the control plane's questions, and ends when it is told to. */
class DataplaneWorker {
  readonly #loop = new EventLoop((event) => this.#report(event));
  readonly #port: MessagePort;
  readonly #wakeup: Wakeup;
  readonly #tcp: TcpRelay;
  readonly #portals: PortalTable;
  readonly #handovers: Handovers;
  readonly #answerers: Answerers;
  readonly #limiter = new EventLimiter(REPORT_PERIOD_MS, (suppressed) =>
    this.#send({ type: 'suppressed', suppressed }),
  );
  readonly #pinOutbox = new PinOutbox((changes) => this.#send({ type: 'pins', changes }));

  constructor(setup: WorkerSetup, port: MessagePort) {
    const { index, workers, maxFlows, maxPins, udpTimeoutMs, rtpsCopies } = setup;
    const now = () => this.#loop.now;
    const report = (event: DataplaneEvent) => this.#report(event);
    const budget = new DescriptorBudget(setup.budget);
    const ports = new LocalPorts<EndpointSocket>(localPorts(), index, workers);
    const udp = new UdpRelay(this.#loop, ports, budget, maxFlows, udpTimeoutMs, report);
    this.#port = port;
    this.#tcp = new TcpRelay(
      this.#loop,
      budget,
      (count) => udp.lifetimes.freeIdle(count),
      report,
      () => portsToReuse(localPorts(), index, workers),
    );
    const pinCells = new Int32Array(setup.pinCells);
    const services = new ServiceEndpoints(pinCells);
    const context = {
      pins: new PinTable({
        capacity: maxPins,
        cells: pinCells,
        endpoints: services,
        outbox: this.#pinOutbox,
        now,
      }),
      services,
      roundRobin: new Int32Array(setup.roundRobin),
      routing: { services: new RtpsServices(), copiesPerSecond: rtpsCopies },
      now,
    };
    this.#handovers = new Handovers(this.#loop, setup.carrier, udp, report);
    const cells = workerCells(setup.counters, index);
    this.#portals = new PortalTable(this.#tcp.acceptor, udp, this.#handovers, context, cells);
    this.#answerers = answerersOf(
      this.#portals,
      new SessionListing(this.#tcp, udp.table, now),
      now,
      udp.participants,
      context.pins,
      this.#handovers,
    );
    for (const task of [this.#limiter, context.pins, this.#pinOutbox]) this.#loop.addTask(task);
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
   * Reads the main thread's messages. After a listing it stops until the next turn: many listings may be
   * asked for at once, and the worker must relay between two of them.
   * @returns 0, or the errno if the eventfd cannot be read
   */
  #readMessages(): number {
    const code = this.#wakeup.clear();
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return code;
      const message = received.message as ToWorker;
      this.#handle(message);
      if (message.type !== 'ask' || message.topic === 'apply') continue;
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
        this.#handovers.close();
        this.#portals.closeListeners();
        this.#tcp.resetAll();
        this.#pinOutbox.flush(this.#loop.now);
        this.#loop.stop();
        break;
    }
  }

  /** @throws Error if a change fails: it may be made in part, and the worker must not go on */
  #answer<T extends Topic>({ id, topic, question }: Asked<T>): FromWorker {
    try {
      return { type: 'answer', id, answer: this.#answerers[topic](question) };
    } catch (error) {
      if (topic === 'apply') throw error;
      return { type: 'noAnswer', id, reason: (error as Error).message };
    }
  }

  #report(event: DataplaneEvent): void {
    if (this.#limiter.admit(event, this.#loop.now)) this.#send({ type: 'event', event });
  }
}

function answerersOf(
  portals: PortalTable,
  listing: SessionListing,
  now: () => number,
  participants: Participants,
  pins: PinTable,
  handovers: Handovers,
): Answerers {
  return {
    apply: (change) => {
      portals.apply(change);
      handovers.begin();
      return null;
    },
    sessions: (question) => listing.page(question),
    endpoints: (ids) => usedEndpoints(ids, (id) => portals.portal(id), now()),
    participants: (question) => participants.page(question),
    pins: (question) => pins.page(question),
    releasePins: ({ service, client }) => pins.release(service, client),
    restorePins: (records) => {
      pins.restore(records);
      return null;
    },
    openCarrier: () => handovers.open(),
    forwarding: (forwarding) => {
      handovers.forwarding = forwarding;
      return null;
    },
  };
}

const { setup, port } = workerData as { setup: WorkerSetup; port: MessagePort };
const worker = new DataplaneWorker(setup, port);
// The loop blocks this thread until its end, so do this now. If it fails, the heap stays larger.
await collectStartupGarbage().catch(() => undefined);
worker.run();
