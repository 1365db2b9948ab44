import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { DataplaneEvent } from '../../../../lib/dataplane/shared/messages.js';
import { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import type { ServedPortal } from '../../../../lib/dataplane/worker/servedportal.js';
import type { Target } from '../../../../lib/dataplane/worker/target.js';
import type { Carrier } from '../../../../lib/dataplane/worker/udp/carrier.js';
import type { ListeningSocket, UdpFlow } from '../../../../lib/dataplane/worker/udp/flow.js';
import { FlowTable } from '../../../../lib/dataplane/worker/udp/flowtable.js';
import { Inbox } from '../../../../lib/dataplane/worker/udp/inbox.js';
import { ListenerVips } from '../../../../lib/dataplane/worker/udp/kernel/clientvip.js';
import { FlowLifetimes } from '../../../../lib/dataplane/worker/udp/lifetimes.js';
import { FlowMover } from '../../../../lib/dataplane/worker/udp/mover.js';
import { DEFAULT_POLICY } from '../../../../lib/portal/policy.js';
import type { DatagramSender } from '../../../../lib/sys/datagramsender.js';
import { listenDatagram } from '../../../../lib/sys/listening.js';
import { closeSocket, localAddress } from '../../../../lib/sys/socket.js';
import { item } from '../../../lab/items.js';
import { servedPortal } from '../fixtures.js';

export const ENDPOINTS = ['a', 'b', 'c'].map((id, i) => ({ id, address: '10.0.1.1', port: i + 1 }));

/** Carries nothing, and logs its calls. */
class FakeCarrier implements Carrier {
  readonly port: number;

  constructor(
    readonly flow: UdpFlow,
    readonly endpoint: string,
    readonly log: string[],
  ) {
    this.port = log.push(`open ${endpoint}`);
  }

  send(sender: DatagramSender): number {
    this.log.push(`send ${sender.count} to ${this.endpoint}`);
    return sender.count;
  }

  drain(): void {
    this.log.push(`drain ${this.endpoint}`);
  }

  retire(): void {
    this.log.push(`leave ${this.endpoint}`);
    this.flow.previousCarrier = this;
    this.flow.carrier = null;
  }

  close(): void {
    this.log.push(`close ${this.endpoint}`);
    if (this.flow.previousCarrier === this) this.flow.previousCarrier = null;
    else this.flow.carrier = null;
  }
}

/** The flow of one client, with fake carriers. */
export class OneClient {
  /** The calls of carriers, in their order. */
  readonly log: string[] = [];
  readonly events: DataplaneEvent[] = [];
  /** By endpoint: the errno with which the opening of a carrier fails. */
  readonly errors = new Map<string, number>();
  readonly portal: ServedPortal;
  readonly table = new FlowTable(8);
  readonly mover: FlowMover;
  readonly inbox = new Inbox();
  /** Told of the flows that moved. */
  moved: (flow: UdpFlow, from: Target) => void = () => undefined;
  readonly #lifetimes = new FlowLifetimes(new EventLoop(), this.table, this.inbox, null);
  readonly #listener: ListeningSocket;
  readonly #sockets = [createSocket('udp4'), createSocket('udp4')];

  constructor(t: Test, policy = DEFAULT_POLICY) {
    this.portal = servedPortal({ protocol: 'UDP', endpoints: ENDPOINTS, policy });
    const fd = listenDatagram({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false }, 65536);
    this.#listener = {
      fd,
      portal: this.portal,
      port: 0,
      isRedirected: false,
      vips: new ListenerVips(),
      flows: new Set(),
    };
    t.teardown(() => {
      for (const socket of this.#sockets) socket.close();
      closeSocket(fd);
    });
    this.mover = new FlowMover(
      this.#lifetimes,
      (flow) => this.#open(flow),
      (flow, from) => this.moved(flow, from),
      (event) => this.events.push(event),
    );
  }

  /** By endpoint: how many flows it was given, has now, and has given away; and how often it failed. */
  get counts(): Readonly<Record<string, readonly number[]>> {
    const { targets } = this.portal.balancer.rotation;
    return Object.fromEntries(
      targets.map(({ id, counts }) => [id, [counts.total, counts.active, counts.moved, counts.failures]]),
    );
  }

  #open(flow: UdpFlow): FakeCarrier | number {
    const { id } = flow.target;
    return this.errors.get(id) ?? new FakeCarrier(flow, id, this.log);
  }

  /**
   * Sends a datagram.
   * @param socket which of the client's two it goes by
   * @returns its flow, once it is filed
   */
  async ask(payload: string | Uint8Array = 'question', socket = 0): Promise<UdpFlow> {
    const { fd } = this.#listener;
    item(this.#sockets, socket).send(payload, localAddress(fd).port, '127.0.0.1');
    while (this.inbox.receive(fd) !== 1) await sleep(1);
    const slot = this.inbox.first;
    const head = this.inbox.head(slot);
    head.tellApartBy(this.portal.balancer.prefixBytes);
    const flow = this.table.find(this.#listener, head) ?? this.#lifetimes.begin(this.#listener, head, 64);
    this.inbox.file(slot, flow, this.#lifetimes.loop.now);
    return flow as UdpFlow;
  }
}
