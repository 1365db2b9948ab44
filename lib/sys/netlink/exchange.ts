import { setImmediate as otherWork } from 'node:timers/promises';
import { EAGAIN, EBUSY, ETIMEDOUT, SysError } from '../errno.js';
import {
  errorCode,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  setSequence,
} from './messages.js';
import type { NetlinkSocket } from './socket.js';

/**
 * Requests in one call. Their acknowledgements wait in the socket's receive buffer until the call has
 * returned, and what does not fit there is lost; a default buffer holds a few hundred.
 */
const BATCH = 64;
/** How often a list is asked for that changes while the kernel makes it. */
const LIST_TRIES = 10;
/** Milliseconds; beside the socket's own time-out, for messages that come but answer nothing of ours. */
const ANSWER_TIMEOUT_MS = 2000;

/** Work in steps of about a millisecond. {@link atOnce} and {@link inTurns} do it. */
export type Steps<T> = Generator<void, T, void>;

/** Does all steps now: for worker threads, which have no event loop that could wait. */
export function atOnce<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** Lets other work of the main thread have its turn between the steps. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (step.done !== true) {
    await otherWork();
    step = steps.next();
  }
  return step.value;
}

/** What an exchange needs of a {@link NetlinkSocket}. */
export type Channel = Pick<NetlinkSocket, 'send' | 'receive' | 'close'>;

/**
 * Requests to one part of the kernel, and their answers, which are told by their sequence numbers. One at a
 * time: a second one that begins before the first has ended is refused with EBUSY. What breaks off in the
 * middle costs the socket, so that its answers cannot meet a later request.
 */
export class Exchange {
  readonly #open: () => Channel;
  #channel: Channel | null;
  #sequence = 0;
  #isBusy = false;

  /** @param open makes a channel, now and after each exchange that broke off @throws SysError */
  constructor(open: () => Channel) {
    this.#open = open;
    this.#channel = open();
  }

  /**
   * The one message that answers a request.
   * @returns its body, valid until the next call
   * @throws SysError
   */
  ask(request: Uint8Array): DataView {
    this.#begin();
    let reply: Message | null = null;
    try {
      [reply] = this.#answers(this.#send([request]), 1);
    } finally {
      this.#end(reply !== null);
    }
    if (reply.type === NLMSG_ERROR) throw new SysError('netlink request', errorCode(reply));
    return reply.body;
  }

  /**
   * Makes requests that ask for an acknowledgement (NLM_F_ACK).
   * @returns for each an errno, 0 for success
   * @throws SysError
   */
  change(requests: readonly Uint8Array[]): Steps<number[]> {
    return this.#alone(this.#changing(requests));
  }

  /**
   * What `read` makes of each message of a dump, without what is null. A message is valid during the call
   * only. Where things change while the kernel lists them (NLM_F_DUMP_INTR), it is asked again.
   * @throws SysError, EAGAIN where things never stop changing
   */
  list<T>(request: Uint8Array, read: (body: DataView) => T | null): Steps<T[]> {
    return this.#alone(this.#listing(request, read));
  }

  /** Gives the socket back; a later request opens another. */
  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  *#alone<T>(conversation: Steps<T>): Steps<T> {
    this.#begin();
    let isComplete = false;
    try {
      const result = yield* conversation;
      isComplete = true;
      return result;
    } finally {
      this.#end(isComplete);
    }
  }

  #begin(): void {
    if (this.#isBusy) throw new SysError('netlink request', EBUSY);
    this.#isBusy = true;
  }

  #end(isComplete: boolean): void {
    this.#isBusy = false;
    if (!isComplete) this.close();
  }

  *#changing(requests: readonly Uint8Array[]): Steps<number[]> {
    const codes: number[] = [];
    for (let start = 0; start < requests.length; start += BATCH) {
      codes.push(...this.#acknowledged(requests.slice(start, start + BATCH)));
      // With thousands of addresses on a device the kernel takes milliseconds for each.
      yield;
    }
    return codes;
  }

  #acknowledged(batch: readonly Uint8Array[]): number[] {
    const first = this.#send(batch);
    const codes = new Map<number, number>();
    while (codes.size < batch.length) {
      for (const answer of this.#answers(first, batch.length)) {
        if (answer.type === NLMSG_ERROR) codes.set(answer.sequence, errorCode(answer));
      }
    }
    return batch.map((_, index) => codes.get((first + index) >>> 0) as number);
  }

  *#listing<T>(request: Uint8Array, read: (body: DataView) => T | null): Steps<T[]> {
    for (let tries = 0; tries < LIST_TRIES; tries++) {
      const found = yield* this.#dump(request, read);
      if (found !== null) return found;
    }
    throw new SysError('netlink dump', EAGAIN);
  }

  /** @returns null where the list is not consistent */
  *#dump<T>(request: Uint8Array, read: (body: DataView) => T | null): Steps<T[] | null> {
    const found: T[] = [];
    let isConsistent = true;
    const sequence = this.#send([request]);
    for (;;) {
      for (const answer of this.#answers(sequence, 1)) {
        if ((answer.flags & NLM_F_DUMP_INTR) !== 0) isConsistent = false;
        if (answer.type === NLMSG_DONE || answer.type === NLMSG_ERROR) {
          const code = errorCode(answer);
          if (code !== 0) throw new SysError('netlink dump', code);
          return isConsistent ? found : null;
        }
        const item = read(answer.body);
        if (item !== null) found.push(item);
      }
      yield;
    }
  }

  /** Numbers the requests in a row and sends them. @returns the first number */
  #send(requests: readonly Uint8Array[]): number {
    const first = (this.#sequence + 1) >>> 0;
    for (const [index, request] of requests.entries()) setSequence(request, (first + index) >>> 0);
    this.#sequence = (this.#sequence + requests.length) >>> 0;
    this.#channel ??= this.#open();
    this.#channel.send(requests);
    return first;
  }

  /** The next messages that answer one of `count` requests from number `first` on: at least one. */
  #answers(first: number, count: number): Message[] {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    for (;;) {
      const messages = (this.#channel as Channel).receive();
      const own = messages.filter(({ sequence }) => (sequence - first) >>> 0 < count);
      if (own.length > 0) return own;
      if (performance.now() > deadline) throw new SysError('netlink answer', ETIMEDOUT);
    }
  }
}
