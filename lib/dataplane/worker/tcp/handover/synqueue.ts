import { EAGAIN, EINTR, errno } from '../../../../sys/errno.js';
import { BATCH, type PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import type { EventLoop, Watcher } from '../../loop.js';
import type { TcpHandover } from './handover.js';
import { QueuedSyn } from './queuedsyn.js';

/** Batches of SYNs that are decided before other descriptors have their turn. */
const BATCHES_PER_EVENT = 2;
/**
 * A SYN should not wait longer than this for its decision, ms. If the queue was never empty for this time,
 * more SYNs come than this thread can decide, and the relay gets those that wait: in a flood the kernel
 * answers them without a thread (SYN cookies).
 */
const MAX_WAIT_MS = 20;

/** The SYNs of the portals whose home is this worker. They wait in a queue of netfilter. */
export class SynQueue implements Watcher {
  readonly owner = 'SYN queue';
  readonly #loop: EventLoop;
  readonly #queue: PacketQueue;
  readonly #handover: TcpHandover;
  readonly #syn = new QueuedSyn();
  /** By index in the batch: 1 for a SYN that must not go on. */
  readonly #isDoubled = new Uint8Array(BATCH);
  #hasBegun = false;
  /** Since when SYNs have waited at each look (loop clock, ms). Null while the queue is empty. */
  #busySince: number | null = null;
  /** How many SYNs the queue had no room for, at the last look. */
  #overflows = 0;

  constructor(loop: EventLoop, queue: PacketQueue, handover: TcpHandover) {
    this.#loop = loop;
    this.#queue = queue;
    this.#handover = handover;
  }

  /** Lets SYNs come. Until then they wait in the kernel. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#loop.watchInput(this.#queue.fd, this);
  }

  onReady(): number {
    this.#busySince ??= this.#loop.now;
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      const count = this.#queue.receive();
      if (count < 0) return this.#onEmpty(batch, errno());
      // Before the verdicts: clients that they let go may be back with other SYNs after them.
      const isEmpty = count < BATCH || !this.#queue.hasMore;
      this.#isDoubled.fill(0);
      if (this.#loop.now - this.#busySince < MAX_WAIT_MS) this.#decide(count);
      else this.#reportUndecided();
      this.#letGo(count);
      if (count === BATCH) this.#noticeOverflow();
      if (isEmpty) {
        this.#busySince = null;
        return 0;
      }
    }
    return 0;
  }

  close(): void {
    if (this.#hasBegun) this.#loop.unwatch(this.#queue.fd);
    this.#queue.close();
  }

  #decide(count: number): void {
    for (let index = 0; index < count; index++) {
      if (!this.#syn.read(this.#queue, index)) continue;
      if (!this.#handover.decide(this.#syn)) this.#isDoubled[index] = 1;
    }
    this.#handover.entries.commit();
  }

  /** A queue that had no room for a SYN is not empty after a batch. */
  #noticeOverflow(): void {
    const { overflows } = this.#queue;
    if (overflows === this.#overflows) return;
    this.#overflows = overflows;
    this.#reportUndecided();
  }

  #reportUndecided(): void {
    this.#handover.report({ kind: 'synsUndecided' });
  }

  /** SYNs whose verdict the kernel does not take are sent again by their clients. */
  #letGo(count: number): void {
    for (let index = 0; index < count; index++) {
      if (this.#isDoubled[index] === 0) this.#queue.accept(index);
      else this.#queue.drop(index);
    }
    this.#queue.flush();
  }

  /** @param batch how many were received before */
  #onEmpty(batch: number, code: number): number {
    if (code === EAGAIN) this.#busySince = null;
    return batch === 0 && code !== EINTR ? code : 0;
  }
}
