import { EPOLLOUT } from '../../../../sys/constants.js';
import { EINPROGRESS, errno } from '../../../../sys/errno.js';
import { connect, openStream, resetOnClose, takeError } from '../../../../sys/socket.js';
import type { EventLoop, Task, Watcher } from '../../loop.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import { TimerEntry, TimerList } from '../../timers.js';

/** Time for an answer, ms. It is enough for a second SYN if the first is lost. */
const ANSWER_MS = 1500;
/** So many at a time, so that they take no descriptors away from clients. */
const MAX_PROBES = 16;

/** A connection of this node to an endpoint. */
class Probe extends TimerEntry implements Watcher {
  constructor(
    readonly owner: string,
    readonly fd: number,
    readonly end: (probe: Probe, isAlive: boolean) => void,
    readonly portal: ServedPortal,
    readonly target: Target,
  ) {
    super();
  }

  onReady(): number {
    this.end(this, takeError(this.fd) === 0);
    return 0;
  }

  onTimer(): void {
    this.end(this, false);
  }
}

/**
 * Finds out whether an endpoint that has not answered one client answers nobody. A NetworkPolicy may forbid
 * it to that client; then it lives, and others must not avoid it. Policies let the node itself pass, so that
 * the kubelet can probe pods.
 */
export class SilenceProbes implements Task {
  readonly #loop: EventLoop;
  readonly #onDead: (portal: ServedPortal, target: Target) => void;
  readonly #timers = new TimerList(ANSWER_MS);
  readonly #probed = new Set<Target>();

  /** @param onDead called if an endpoint refuses this node too, or does not answer it in time */
  constructor(loop: EventLoop, onDead: (portal: ServedPortal, target: Target) => void) {
    this.#loop = loop;
    this.#onDead = onDead;
    loop.addTask(this);
  }

  get deadline(): number {
    return this.#timers.deadline;
  }

  expire(now: number): void {
    this.#timers.expire(now);
  }

  /** Asks an endpoint, unless it is being asked. If this node cannot, nothing is found out. */
  start(portal: ServedPortal, target: Target): void {
    if (this.#probed.has(target) || this.#probed.size >= MAX_PROBES) return;
    const fd = openStream(target.address.family);
    if (fd < 0) return;
    const probe = new Probe(portal.key, fd, (ended, isAlive) => this.#end(ended, isAlive), portal, target);
    this.#probed.add(target);
    const isUnderWay = connect(fd, target.address) === 0 || errno() === EINPROGRESS;
    if (!isUnderWay || !this.#loop.watch(fd, EPOLLOUT, probe)) this.#end(probe, isUnderWay);
    else this.#timers.start(probe, this.#loop.now);
  }

  #end(probe: Probe, isAlive: boolean): void {
    const { fd, portal, target } = probe;
    this.#timers.stop(probe);
    this.#probed.delete(target);
    resetOnClose(fd);
    this.#loop.closeUnshared(fd);
    if (!isAlive) this.#onDead(portal, target);
  }
}
