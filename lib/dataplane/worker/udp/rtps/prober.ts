import { SOURCE_PREFIX_AT } from '../../../../rtps/message.js';
import { EPOLLIN } from '../../../../sys/constants.js';
import { DatagramRing } from '../../../../sys/datagrams.js';
import { DatagramSpreader } from '../../../../sys/datagramspreader.js';
import { errno } from '../../../../sys/errno.js';
import { Memory } from '../../../../sys/memory.js';
import type { DescriptorBudget } from '../../../shared/budget.js';
import type { EventLoop, Task } from '../../loop.js';
import { TimerList } from '../../timers.js';
import { LEASE_MS, Probe, type ProbeOwner } from './probe.js';
import type { RtpsRouter } from './router.js';

/** Most probes at a time; more endpoints are asked later. */
const MOST_PROBES = 16;
/** How often, ms, it is looked which endpoints of a portal are due. */
const LOOK_PERIOD = 250;
/** Bytes. An announcement of the asker has about 300. */
const LONGEST_QUESTION = 1024;
const BATCH = 8;

/**
 * Learns which participant each endpoint has, by a {@link Probe} now and then. What participants answer to
 * clients does not pass here: they send it to the addresses that clients announce.
 */
export class Prober implements Task, ProbeOwner {
  readonly #timers = new TimerList(LEASE_MS);
  readonly #ring = new DatagramRing(BATCH, false);
  readonly #spreader = new DatagramSpreader(1);
  readonly #question = new Memory(LONGEST_QUESTION);
  #open = 0;

  constructor(
    readonly loop: EventLoop,
    readonly budget: DescriptorBudget,
  ) {
    loop.addTask(this);
  }

  get deadline(): number {
    return this.#timers.deadline;
  }

  expire(now: number): void {
    this.#timers.expire(now);
  }

  /** Asks the endpoints of a portal that are due. Called when a client has sent. @param portal its key */
  look(router: RtpsRouter, portal: string): void {
    const { now } = this.loop;
    if (now < router.nextLook || !router.hasSeenRtps) return;
    router.nextLook = now + LOOK_PERIOD;
    const { service, targets, strangerMetAt } = router;
    for (const target of targets) {
      if (this.#open >= MOST_PROBES) return;
      if (!service.askingTimes.isDue(target.id, strangerMetAt, now)) continue;
      service.askingTimes.asked(target.id, now);
      const probe = this.#openProbe({ service, target, portal });
      if (probe !== null) this.#ask(probe, now);
    }
  }

  onProbeReady(probe: Probe): number {
    const ring = this.#ring;
    const count = ring.receive(probe.fd, BATCH);
    if (count < 0) return errno();
    for (let slot = ring.first; slot < ring.first + count && !probe.isAnswered; slot++) {
      const start = ring.startOf(slot);
      if (!probe.isAnswer(ring.payloads.bytes, start, start + ring.length(slot))) continue;
      this.#answered(probe, ring.payloads.bytes, start + SOURCE_PREFIX_AT);
    }
    return 0;
  }

  /** The first question is that of a participant, the second that of a discovery server's client. */
  onProbeTimer(probe: Probe, now: number): void {
    if (probe.isAnswered || probe.isClient) {
      this.#close(probe);
      return;
    }
    probe.isClient = true;
    this.#ask(probe, now);
  }

  #openProbe(subject: Probe['subject']): Probe | null {
    if (!this.budget.take(1)) return null;
    const probe = Probe.open(subject, this);
    if (probe === null) {
      this.budget.give(1);
      return null;
    }
    this.#open++;
    if (this.loop.watch(probe.fd, EPOLLIN, probe)) return probe;
    this.#close(probe);
    return null;
  }

  #close(probe: Probe): void {
    if (!probe.isAnswered) this.#send(probe, probe.farewell());
    this.loop.closeUnshared(probe.fd);
    this.budget.give(1);
    this.#open--;
  }

  #ask(probe: Probe, now: number): void {
    this.#send(probe, probe.question());
    this.#timers.start(probe, now);
  }

  /** The socket stays open until the timer ends, for what else is under way to it. */
  #answered(probe: Probe, bytes: Uint8Array, prefix: number): void {
    const { service, target } = probe.subject;
    const { now } = this.loop;
    probe.isAnswered = true;
    service.owners.learn(bytes, prefix, target.id, now);
    service.askingTimes.answered(target.id, now);
    this.#send(probe, probe.farewell());
  }

  /** What is lost is asked again another time. */
  #send({ fd, subject }: Probe, datagram: Uint8Array): void {
    this.#question.bytes.set(datagram);
    this.#spreader.push(this.#question, 0, datagram.length, subject.target.address);
    this.#spreader.send(fd, () => undefined);
  }
}
