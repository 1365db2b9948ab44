import type { Protocol } from '../../net/protocol.js';
import { type CarrierQueues, ownBit } from '../../portal/carrier.js';
import { SysError } from '../../sys/errno.js';
import { ConntrackSocket } from '../../sys/netlink/conntrack.js';
import { FlowEvents } from '../../sys/netlink/flowevents.js';
import { PacketQueue, type PacketQueueOptions } from '../../sys/netlink/packetqueue.js';
import type { Carriage, CarrierReasons, CarrierSetup, Forwarding } from '../shared/carrier.js';
import type { DataplaneEvent } from '../shared/messages.js';
import { Accounting } from './kernel/accounting.js';
import { EndedFlows } from './kernel/endedflows.js';
import { ErrorQueue, type RefusedPacket } from './kernel/errorqueue.js';
import { FirstPackets } from './kernel/firstpackets.js';
import { PinKeeper } from './kernel/pinkeeper.js';
import { KernelTools } from './kernel/tools.js';
import { VipTable } from './kernel/viptable.js';
import type { EventLoop } from './loop.js';
import type { ServedPortal } from './servedportal.js';
import { TcpHandover } from './tcp/handover/handover.js';
import { TcpRefusals } from './tcp/handover/refusals.js';
import { SynJudge } from './tcp/handover/synjudge.js';
import { DatagramJudge } from './udp/kernel/datagramjudge.js';
import type { UdpRelay } from './udp/relay.js';

/** Bytes of a reset or an ICMP error that are received: an ICMP error may quote a whole packet. */
const ERROR_SIZE = 1500;
/**
 * First datagrams are received whole, but for the last bytes of the very longest: the kernel copies 65,531
 * bytes at most (nfqnl_recv_config). As many may wait as in the buffer of a listener.
 */
const DATAGRAMS: PacketQueueOptions = { copied: 65_531, capacity: 4096, areUnfinished: true };

/** What hands clients of one worker over to the kernel. Nothing is opened until the main thread asks. */
export class Handovers {
  readonly #vips = { TCP: new VipTable(), UDP: new VipTable() };
  readonly #accounting: Accounting;
  readonly #loop: EventLoop;
  readonly #setup: CarrierSetup;
  readonly #udp: UdpRelay;
  readonly #report: (event: DataplaneEvent) => void;
  #forwarding: Forwarding | null = null;
  #tools: KernelTools | null = null;
  #pins: PinKeeper | null = null;
  #queues: readonly (FirstPackets | ErrorQueue)[] | null = null;

  /** @param report takes events for the log */
  constructor(loop: EventLoop, setup: CarrierSetup, udp: UdpRelay, report: (event: DataplaneEvent) => void) {
    this.#loop = loop;
    this.#setup = setup;
    this.#udp = udp;
    this.#report = report;
    this.#accounting = new Accounting(loop, this.#vips);
  }

  /** Takes what may be carried of a portal. Null: nothing more; the entries that exist are counted on. */
  set(portal: ServedPortal, protocol: Protocol, carriage: Carriage | null): void {
    if (carriage === null) return;
    this.#accounting.set(portal, protocol, carriage.vips);
    if (protocol === 'UDP') this.#pins?.watch(portal);
  }

  remove(portal: ServedPortal, protocol: Protocol): void {
    this.#accounting.remove(portal, protocol);
  }

  set forwarding(forwarding: Forwarding) {
    this.#forwarding = forwarding;
    if (this.#tools !== null) this.#tools.node.forwarding = forwarding;
  }

  /**
   * Opens what is not open yet.
   * @returns for each protocol, why the kernel cannot carry it; null if it can
   */
  open(): CarrierReasons {
    const reason = reasonOf(() => this.#openQueues());
    return { TCP: reason, UDP: reason };
  }

  /**
   * Lets first packets come, as the portals are there. Rules of an earlier run may queue them from the start
   * on: the relay would refuse them while it does not listen.
   */
  begin(): void {
    for (const queue of this.#queues ?? []) if (queue instanceof FirstPackets) queue.begin();
  }

  close(): void {
    for (const queue of this.#queues ?? []) queue.close();
    this.#queues = null;
  }

  #openTools(): KernelTools {
    if (this.#tools !== null) return this.#tools;
    const now = () => this.#loop.now;
    const tools = new KernelTools(this.#setup, this.#vips, this.#accounting, now, this.#report);
    this.#startAccounting();
    if (this.#forwarding !== null) tools.node.forwarding = this.#forwarding;
    this.#loop.addTask(tools.checks);
    this.#udp.startHandover(tools);
    this.#pins = new PinKeeper(
      this.#loop,
      this.#vips.UDP,
      ConntrackSocket.open(),
      ownBit(this.#setup.ownMask),
    );
    this.#tools = tools;
    return tools;
  }

  /** Workers beyond the fourth make entries with the marks of the first four, which hear of their ends. */
  #startAccounting(): void {
    const { heldMarks, ownMask, isMarkShared } = this.#setup;
    if (heldMarks.length === 0) return;
    this.#accounting.start({
      ended: new EndedFlows(this.#loop, FlowEvents.open(heldMarks, ownMask)),
      conntrack: ConntrackSocket.open(),
      marks: heldMarks,
      mask: ownMask,
      isMarkShared,
    });
  }

  #openQueues(): void {
    if (this.#queues !== null) return;
    const tools = this.#openTools();
    const { queues: numbers } = this.#setup;
    this.#queues = numbers === null ? [] : this.#queuesOf(tools, openQueues(numbers));
  }

  #queuesOf(tools: KernelTools, { syns, datagrams, errors }: OpenQueues): (FirstPackets | ErrorQueue)[] {
    const handover = new TcpHandover(this.#loop, tools, this.#report);
    const refusals = new TcpRefusals(handover);
    const UDP = (packet: RefusedPacket) => this.#udp.onRefused(packet);
    return [
      new FirstPackets(this.#loop, syns, new SynJudge(handover)),
      new FirstPackets(this.#loop, datagrams, new DatagramJudge(tools, this.#report)),
      new ErrorQueue(this.#loop, errors, { TCP: refusals.onRefused.bind(refusals), UDP }),
    ];
  }
}

type OpenQueues = Readonly<Record<keyof CarrierQueues, PacketQueue>>;

/** Opens all queues of a worker, or none. @throws SysError */
function openQueues(numbers: CarrierQueues): OpenQueues {
  const open: PacketQueue[] = [];
  const opened = (number: number, options?: PacketQueueOptions) => {
    const queue = PacketQueue.open(number, options);
    open.push(queue);
    return queue;
  };
  try {
    return {
      errors: opened(numbers.errors, { copied: ERROR_SIZE }),
      syns: opened(numbers.syns),
      datagrams: opened(numbers.datagrams, DATAGRAMS),
    };
  } catch (error) {
    for (const queue of open) queue.close();
    throw error;
  }
}

/** Why something cannot be opened; null if it can. */
function reasonOf(open: () => unknown): string | null {
  try {
    open();
    return null;
  } catch (error) {
    if (error instanceof SysError) return error.message;
    throw error;
  }
}
