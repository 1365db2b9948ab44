import { IPPROTO_UDP } from '../../../../sys/constants.js';
import { EEXIST, errnoName } from '../../../../sys/errno.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import type { KernelTools } from '../../kernel/tools.js';
import { Stage } from '../flowstages.js';
import type { FlowTable } from '../flowtable.js';
import type { FlowEntries } from '../kernel/entries.js';
import type { HotCarrier } from './hotcarrier.js';

/**
 * Changes the entries of hot flows in the kernel's table of tracked flows. A relayed flow has two: the
 * client's leg, which a redirect leads to the listener, and the socket's leg to the endpoint. One takes their
 * place.
 */
export class TakeOver {
  /** @param report takes events for the log */
  constructor(
    readonly table: FlowTable,
    readonly entries: FlowEntries,
    readonly tools: KernelTools,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  /** How many flows {@link begin} takes at once. */
  get capacity(): number {
    return this.tools.batch.capacity;
  }

  /**
   * Lets the kernel carry flows. What the endpoints have sent until then is relayed first: without the
   * client's entry, answers of the listener would come from another port, and their own entry would take the
   * client's.
   * @returns those that the kernel has taken. The others are relayed for as long as they last
   */
  begin(carriers: readonly HotCarrier[]): readonly HotCarrier[] {
    const { batch, setup } = this.tools;
    for (const carrier of carriers) {
      const { flow, vip, source } = carrier;
      const client = this.entries.clientOf(flow);
      carrier.position = batch.takeOver(client, vip.address, flow.target.address, source, setup.ownMark);
    }
    for (const { socket } of carriers) socket.drain();
    batch.commit();
    const codes = carriers.map(({ position }) => batch.codeOf(position));
    return carriers.filter((carrier, index) => this.#hasEntered(carrier, codes[index]));
  }

  /** The client's datagrams come to the listener again, and the flow is relayed by its socket. */
  restore(carrier: HotCarrier): void {
    const { flow, vip } = carrier;
    this.#relay(carrier);
    this.entries.bringBack(flow, vip);
    this.tools.batch.commit();
    flow.isCarried = false;
  }

  /**
   * Ends the entry. The flow has its socket, but ends or gets another one next: UdpKernel.bringBack then
   * makes the client's datagrams come to the listener.
   */
  end(carrier: HotCarrier): void {
    this.#relay(carrier);
    this.tools.batch.end(IPPROTO_UDP, this.entries.clientOf(carrier.flow), carrier.vip.address);
    this.tools.batch.commit();
  }

  #hasEntered(carrier: HotCarrier, code: number): boolean {
    if (code !== 0) {
      this.#failed(carrier, code);
      return false;
    }
    const { flow, socket } = carrier;
    carrier.enteredAt = this.tools.node.now();
    socket.receiver = carrier;
    flow.carrier = carrier;
    flow.isCarried = true;
    flow.countActive(-1);
    this.table.setStage(flow, Stage.Hot);
    this.table.touch(flow, carrier.enteredAt);
    this.tools.accounting.entered(flow.portal, flow.target, IPPROTO_UDP);
    return true;
  }

  /** The client's old entry is gone all the same. */
  #failed({ flow, vip }: HotCarrier, code: number): void {
    const { portal, target } = flow;
    flow.isRelayOnly = true;
    this.entries.bringBack(flow, vip);
    this.tools.batch.commit();
    this.report({ kind: 'notCarried', portal: portal.key, endpoint: target.name, reason: errnoName(code) });
    if (code !== EEXIST) this.tools.node.pause();
  }

  #relay({ flow, socket, stage }: HotCarrier): void {
    socket.receiver = null;
    flow.carrier = socket;
    flow.heat?.cool();
    flow.countActive(1);
    this.table.setStage(flow, stage);
    this.table.touch(flow, this.tools.node.now());
  }
}
