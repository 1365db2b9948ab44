import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { EchoBatch } from './echo-batch.js';
import { openFlows } from './flow.js';
import { COUNTER, type LoadPlan, type LoadResult, MESSAGE_SIZE, type WorkOf } from './plan.js';
import { type Attempt, searchRate } from './rate-search.js';

/** The first rate in datagrams per second, and the most attempts. */
const SEARCH = { start: 60_000, attempts: 12 };
/** An attempt takes this part of the plan's duration. */
const ATTEMPTS_IN_A_SPAN = 8;
/** Most datagrams in one call. */
const BURST = 64;
/** Milliseconds that the sender sleeps when no datagram is due. */
const PAUSE_MS = 0.1;
/**
 * Milliseconds between two questions for the count. A datagram that has not arrived after this time is lost.
 */
const QUESTION_PAUSE_MS = 20;
const MAX_QUESTIONS = 100;

/** Sends to the counting port at different rates, and finds the highest rate that arrives. */
export function udpOneWay(plan: LoadPlan, { flows, size }: WorkOf<'one-way'>): LoadResult {
  const sender = new Sender(openFlows(plan, flows), size);
  const seconds = plan.duration / ATTEMPTS_IN_A_SPAN;
  const rate = searchRate((rate) => sender.attempt(rate, seconds), SEARCH);
  return { rate, total: sender.total, losses: 0, p50: 0, p99: 0 };
}

class Sender {
  /** Datagrams of all attempts. */
  total = 0;
  readonly #flows: readonly number[];
  readonly #batch: EchoBatch;
  readonly #epoll = new Epoll(1);
  readonly #message = new Memory(MESSAGE_SIZE);
  readonly #sleepCell = new Int32Array(new SharedArrayBuffer(4));
  #run = 0;
  #next = 0;

  constructor(flows: readonly number[], size: number) {
    this.#flows = flows;
    this.#batch = new EchoBatch(BURST, size, false);
    this.#epoll.add(flows[0], EPOLLIN, 0);
  }

  /**
   * Sends evenly for some seconds, from all flows in turn, and asks what arrived.
   * @param rate datagrams per second
   */
  attempt(rate: number, seconds: number): Attempt {
    this.#run = Math.max(this.#run + 1, Date.now() % 2 ** 31);
    for (let slot = 0; slot < BURST; slot++) this.#batch.words[this.#batch.wordOf(slot)] = this.#run;
    const start = performance.now();
    const sent = this.#sendEvenly(rate, seconds, start);
    const sentSeconds = (performance.now() - start) / 1000;
    this.total += sent;
    const { count, span } = this.#arrived(sent);
    return {
      sent: sent / sentSeconds,
      received: count / Math.max(sentSeconds, span / 1e6),
      lost: 1 - count / sent,
    };
  }

  #sendEvenly(rate: number, seconds: number, start: number): number {
    let sent = 0;
    for (;;) {
      const elapsed = Math.min(seconds, (performance.now() - start) / 1000);
      const due = Math.floor(elapsed * rate) - sent;
      if (due > 0) sent += this.#sendSome(due);
      else if (elapsed === seconds) return sent;
      else this.#sleep(PAUSE_MS);
    }
  }

  /** Sends a part of the datagrams that are due from the next flow, so that each flow has its share. */
  #sendSome(due: number): number {
    const share = Math.min(BURST, Math.ceil(due / this.#flows.length));
    const fd = this.#flows[this.#next];
    this.#next = (this.#next + 1) % this.#flows.length;
    return Math.max(0, this.#batch.send(fd, share));
  }

  /** Asks until all have arrived, or until the count does not change. @throws Error if there is no answer */
  #arrived(sent: number): { readonly count: number; readonly span: number } {
    let before = -1;
    for (let question = 0; question < MAX_QUESTIONS; question++) {
      const { words } = this.#message;
      if (this.#ask()) {
        const count = words[COUNTER.count];
        if (count === sent || count === before) return { count, span: words[COUNTER.span] };
        before = count;
      }
      this.#sleep(QUESTION_PAUSE_MS);
    }
    throw new Error('nobody tells how many datagrams arrived');
  }

  /** @returns whether `#message` has the answer */
  #ask(): boolean {
    const [fd] = this.#flows;
    const { address, words } = this.#message;
    words[COUNTER.run] = this.#run;
    words[COUNTER.question] = 1;
    libc.send(fd, address, MESSAGE_SIZE, MSG_NOSIGNAL);
    if (this.#epoll.wait(QUESTION_PAUSE_MS) === 0) return false;
    return libc.read(fd, address, MESSAGE_SIZE) > 0 && words[COUNTER.run] === this.#run;
  }

  #sleep(ms: number): void {
    Atomics.wait(this.#sleepCell, 0, 0, ms);
  }
}
