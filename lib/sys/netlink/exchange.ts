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
import type { Steps } from './steps.js';

/**
 * Most requests in one call. Their acknowledgements wait in the socket's receive buffer until the call
 * returns. The buffer of default size has room for a few hundred; more would be lost.
 */
const BATCH = 64;
/** How often a list is requested again if it changed while the kernel made it. */
const LIST_TRIES = 10;
/**
 * Milliseconds. It limits the wait if other messages come; the socket's own time-out limits the wait if no
 * message comes.
 */
const ANSWER_TIMEOUT_MS = 2000;

/** The members of a {@link NetlinkSocket} that an exchange uses. */
export type Channel = Pick<NetlinkSocket, 'send' | 'receive' | 'close'>;

/**
 * Requests to one part of the kernel and their answers, matched by sequence numbers. Only one exchange at a
 * time: a second one fails with EBUSY until the first has ended. If an exchange fails or is stopped before
 * its end, its socket is closed, so that its answers cannot be taken for answers to a later request.
 */
export class Exchange {
  readonly #open: () => Channel;
  #channel: Channel | null;
  #sequence = 0;
  #isBusy = false;

  /**
   * @param open opens a channel. Called now, and again after an exchange that failed or was stopped.
   * @throws SysError
   */
  constructor(open: () => Channel) {
    this.#open = open;
    this.#channel = open();
  }

  /**
   * Sends a request that has one message as its answer.
   * @returns the body of the answer, valid until the next call
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
   * Sends requests that ask for an acknowledgement (NLM_F_ACK).
   * @returns an errno for each request; 0 for success
   * @throws SysError
   */
  change(requests: readonly Uint8Array[]): Steps<number[]> {
    return this.#alone(this.#changing(requests));
  }

  /**
   * The results of `read` for the messages of a dump, without nulls. A message is valid only during that call
   * of `read`. If the objects change while the kernel lists them (NLM_F_DUMP_INTR), the list is requested
   * again.
   * @throws SysError: EAGAIN if the list changed in each try
   */
  list<T>(request: Uint8Array, read: (body: DataView) => T | null): Steps<T[]> {
    return this.#alone(this.#listing(request, read));
  }

  /** Closes the socket. A later request opens another one. */
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
      // If a device has thousands of addresses, the kernel needs milliseconds for each request.
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

  /** @returns null if the list changed while the kernel made it */
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

  /** Gives the requests consecutive numbers and sends them. @returns the first number */
  #send(requests: readonly Uint8Array[]): number {
    const first = (this.#sequence + 1) >>> 0;
    for (const [index, request] of requests.entries()) setSequence(request, (first + index) >>> 0);
    this.#sequence = (this.#sequence + requests.length) >>> 0;
    this.#channel ??= this.#open();
    this.#channel.send(requests);
    return first;
  }

  /** Waits for answers to the `count` requests from number `first` on. @returns at least one answer */
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
