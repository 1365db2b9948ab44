import { ENOBUFS } from '../../../sys/errno.js';
import type { FlowEvents } from '../../../sys/netlink/flowevents.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { EventLoop, Task, Watcher } from '../loop.js';

/**
 * Pause between two hearings, ms. While SYNs come, each turn of the loop ends entries, those of connections
 * that had the same ports. To wake up and to receive for each turn's few costs more than to read them.
 */
const PAUSE_MS = 20;
/** Batches of messages that are heard before other descriptors have their turn. */
const BATCHES_PER_EVENT = 16;
/** Batches that are heard in one go at most. There are fewer in a full receive buffer. */
const MAX_BATCHES = 1024;

/** Hears which entries of the kernel's table have ended: after a pause all that have ended meanwhile. */
export class EndedFlows implements Watcher, Task {
  readonly owner = 'tracked flows';
  readonly #loop: EventLoop;
  readonly #events: FlowEvents;
  #onEnded: (flow: FlowReader) => void = () => undefined;
  #onLost: () => void = () => undefined;
  /** When the pause ends. Infinity: there is none. */
  #pausedUntil = Number.POSITIVE_INFINITY;

  constructor(loop: EventLoop, events: FlowEvents) {
    this.#loop = loop;
    this.#events = events;
  }

  /**
   * Begins to hear.
   * @param onEnded the flow, valid during this call only; its counters are final
   * @param onLost the kernel had more to tell than it could keep
   */
  begin(onEnded: (flow: FlowReader) => void, onLost: () => void): void {
    this.#onEnded = onEnded;
    this.#onLost = onLost;
    this.#loop.watchInput(this.#events.fd, this);
    this.#loop.addTask(this);
  }

  onReady(): number {
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      const code = this.#events.receive(this.#onEnded);
      if (code === ENOBUFS) this.#onLost();
      else if (code !== 0) return this.#onEmpty(batch, code);
    }
    return 0;
  }

  get deadline(): number {
    return this.#pausedUntil;
  }

  expire(): void {
    this.#pausedUntil = Number.POSITIVE_INFINITY;
    this.#loop.watchInput(this.#events.fd, this);
  }

  /** Hears all that the kernel has to tell now. @returns false if messages were lost */
  hearAll(): boolean {
    let isWhole = true;
    for (let batch = 0; batch < MAX_BATCHES; batch++) {
      const code = this.#events.receive(this.#onEnded);
      if (code === ENOBUFS) isWhole = false;
      else if (code !== 0) return isWhole;
    }
    return false;
  }

  /** @param batch how many were heard before */
  #onEmpty(batch: number, code: number): number {
    if (batch === 0) return code;
    this.#loop.unwatch(this.#events.fd);
    this.#pausedUntil = this.#loop.now + PAUSE_MS;
    return 0;
  }
}
