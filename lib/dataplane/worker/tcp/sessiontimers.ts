import type { EventLoop, Task } from '../loop.js';
import { type TimerEntry, TimerList } from '../timers.js';

/** Time for an endpoint's answer by attempt, as in kube-proxy's userspace mode. */
const CONNECT_TIMEOUTS_MS = [250, 500, 1000, 2000];
/**
 * A connection that lives this long gets keep-alive towards the endpoint. Most connections end before, and
 * save the system calls.
 */
const KEEP_ALIVE_AFTER_MS = 5000;
/** A session that waits for ports, descriptors or memory of the node tries again after this time. */
const WAIT_MS = 100;

/**
 * The timers of one worker's TCP sessions. A session has one of them at a time: a start stops the one before.
 */
export class SessionTimers implements Task {
  readonly #connect = CONNECT_TIMEOUTS_MS.map((delayMs) => new TimerList(delayMs));
  readonly #keepAlive = new TimerList(KEEP_ALIVE_AFTER_MS);
  readonly #wait = new TimerList(WAIT_MS);
  readonly #lists = [...this.#connect, this.#keepAlive, this.#wait];

  constructor(readonly loop: EventLoop) {
    loop.addTask(this);
  }

  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const list of this.#lists) earliest = Math.min(earliest, list.deadline);
    return earliest;
  }

  expire(now: number): void {
    for (const list of this.#lists) list.expire(now);
  }

  /** Starts the time for an endpoint's answer. @param attempt 1 for the first */
  startConnect(session: TimerEntry, attempt: number): void {
    const list = this.#connect[Math.min(attempt, this.#connect.length) - 1];
    // Read the clock: a turn that begins thousands of connects takes longer than the first time-out.
    list.start(session, this.loop.readClock());
  }

  /** Whether an endpoint that did not answer gets one more, longer try if there is no other endpoint. */
  hasConnectTimeLeft(attempts: number): boolean {
    return attempts < this.#connect.length;
  }

  /** Starts the time until the session tries again to get what the node is short of. */
  startWait(session: TimerEntry): void {
    this.#wait.start(session, this.loop.now);
  }

  /** Starts the time until the connection gets keep-alive. */
  startKeepAlive(session: TimerEntry): void {
    this.#keepAlive.start(session, this.loop.now);
  }
}
