import { EAGAIN, EINTR, errno } from '../../../sys/errno.js';
import { BATCH, type PacketQueue } from '../../../sys/netlink/packetqueue.js';
import type { EventLoop, Watcher } from '../loop.js';

/** Batches that are decided before other descriptors have their turn. */
const BATCHES_PER_EVENT = 2;

/** Decides where first packets of one protocol go. */
export interface Judge {
  /** For log lines. */
  readonly owner: string;
  /** If packets have waited for this time, ms, the relay gets those that wait. */
  readonly maxWaitMs: number;
  /** Gives a verdict about each packet of the last receive. */
  decide(queue: PacketQueue, count: number): void;
  /** More packets came than could be decided about, so the relay gets some. */
  reportUndecided(): void;
}

/** First packets for the portals whose home is this worker. They wait in a queue of netfilter. */
export class FirstPackets implements Watcher {
  readonly #loop: EventLoop;
  readonly #queue: PacketQueue;
  readonly #judge: Judge;
  #hasBegun = false;
  /** Since when packets have waited at each look (loop clock, ms). Null while the queue is empty. */
  #busySince: number | null = null;
  /** How many packets the queue had no room for, at the last look. */
  #overflows = 0;

  constructor(loop: EventLoop, queue: PacketQueue, judge: Judge) {
    this.#loop = loop;
    this.#queue = queue;
    this.#judge = judge;
  }

  get owner(): string {
    return this.#judge.owner;
  }

  /** Lets packets come. Until then they wait in the kernel. */
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
      // Before the verdicts: clients that they let go may be back with other packets after them.
      const isEmpty = count < BATCH || !this.#queue.hasMore;
      if (this.#loop.now - this.#busySince < this.#judge.maxWaitMs) this.#judge.decide(this.#queue, count);
      else this.#letGo(count);
      // Packets whose verdict the kernel does not take are sent again by their clients.
      this.#queue.flush();
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

  #letGo(count: number): void {
    this.#judge.reportUndecided();
    for (let index = 0; index < count; index++) this.#queue.accept(index);
  }

  /** A queue that had no room for a packet is not empty after a batch. */
  #noticeOverflow(): void {
    const { overflows } = this.#queue;
    if (overflows === this.#overflows) return;
    this.#overflows = overflows;
    this.#judge.reportUndecided();
  }

  /** @param batch how many were received before */
  #onEmpty(batch: number, code: number): number {
    if (code === EAGAIN) this.#busySince = null;
    return batch === 0 && code !== EINTR ? code : 0;
  }
}
