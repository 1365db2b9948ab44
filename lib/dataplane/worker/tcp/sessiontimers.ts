import type { EventLoop, Task } from '../loop.js';
import { type TimerEntry, TimerList } from '../timers.js';

/** Waits for an endpoint's answer, ms, one attempt after the other: the userspace kube-proxy's own values. */
const CONNECT_TIMEOUTS = [250, 500, 1000, 2000];
/**
 * A connection that lives this long, ms, gets keep-alive towards the endpoint. Most connections end before,
 * and save the calls.
 */
const KEEP_ALIVE_AFTER = 5000;
/** How often, ms, a session asks again for what the node is short of. */
const WAIT = 100;

/**
 * The timers of one worker's TCP sessions. A session has one of them at a time: a start stops the one before.
 */
export class SessionTimers implements Task {
  readonly #connect = CONNECT_TIMEOUTS.map((delay) => new TimerList(delay));
  readonly #keepAlive = new TimerList(KEEP_ALIVE_AFTER);
  readonly #wait = new TimerList(WAIT);
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

  /** The time that an endpoint has to answer. @param attempt 1 for the first */
  startConnect(session: TimerEntry, attempt: number): void {
    const list = this.#connect[Math.min(attempt, this.#connect.length) - 1];
    // A turn that begins thousands of connects takes longer than the first of these waits.
    list.start(session, this.loop.readClock());
  }

  /** Whether a silent endpoint gets another, longer try where there is no other endpoint. */
  hasConnectTimeLeft(attempts: number): boolean {
    return attempts < this.#connect.length;
  }

  /** The time until the node is asked again for what it is short of. */
  startWait(session: TimerEntry): void {
    this.#wait.start(session, this.loop.now);
  }

  /** The time until a connection needs keep-alive. */
  startKeepAlive(session: TimerEntry): void {
    this.#keepAlive.start(session, this.loop.now);
  }
}
