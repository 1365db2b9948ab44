import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import type { Judge } from '../../kernel/firstpackets.js';
import type { TcpHandover } from './handover.js';
import { QueuedSyn } from './queuedsyn.js';

/**
 * If the queue was never empty for this time, more SYNs come than this thread can decide, and the relay gets
 * those that wait: in a flood the kernel answers them without a thread (SYN cookies).
 */
const MAX_WAIT_MS = 20;

/** Decides about SYNs. */
export class SynJudge implements Judge {
  readonly owner = 'SYN queue';
  readonly maxWaitMs = MAX_WAIT_MS;
  readonly #handover: TcpHandover;
  readonly #syn = new QueuedSyn();

  constructor(handover: TcpHandover) {
    this.#handover = handover;
  }

  decide(queue: PacketQueue, count: number): void {
    for (let index = 0; index < count; index++) {
      const isDoubled = this.#syn.read(queue, index) && !this.#handover.decide(this.#syn);
      if (isDoubled) queue.drop(index);
      else queue.accept(index);
    }
    this.#handover.entries.commit();
  }

  reportUndecided(): void {
    this.#handover.report({ kind: 'synsUndecided' });
  }
}
