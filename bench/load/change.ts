import { copyFileSync, renameSync } from 'node:fs';
import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket } from '../../lib/sys/socket.js';
import { openFlow } from './flow.js';
import { type ChangeWork, type LoadResult, MESSAGE_SIZE, NOBODY, type Target } from './plan.js';

/** Between two flows, ms: what a time can be wrong by. */
const REST = 0.5;
/** A datagram without an answer for so long, ms, is lost. */
const LOST_AFTER = 200;
/** So many in a row are no accident: the Service is gone. */
const LOST_TOGETHER = 3;
/** A change that nobody sees after so long, ms, never comes. */
const PATIENCE = 30_000;

/** Between two changes, ms: a storm of them would be gathered. */
const PACE = 300;

/** Changes the endpoint of a Service again and again, and notes the time from each rename to the first new flow that meets it. */
export function change(target: Target, { file, versions, times }: ChangeWork): LoadResult {
  const latencies: number[] = [];
  const probe = new Probe(target);
  put(versions[0].file, file);
  probe.until(versions[0].port);
  const start = performance.now();
  for (let i = 1; i <= times; i++) {
    const version = versions[i % versions.length];
    probe.rest(PACE);
    const changedAt = put(version.file, file);
    probe.until(version.port);
    latencies.push((performance.now() - changedAt) * 1000);
  }
  return {
    rate: times / ((performance.now() - start) / 1000),
    total: times,
    losses: 0,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(values.length * share) - 1];
}

/** Puts a version in place with a rename. @returns when */
function put(version: string, file: string): number {
  const hidden = `${version}.next`;
  copyFileSync(version, hidden);
  const now = performance.now();
  renameSync(hidden, file);
  return now;
}

/** Asks who answers, with a new flow each time. */
class Probe {
  readonly #target: SocketAddress;
  readonly #epoll = new Epoll(1);
  readonly #message = new Memory(MESSAGE_SIZE);
  readonly #pillow = new Int32Array(new SharedArrayBuffer(4));

  constructor({ address, port }: Target) {
    this.#target = SocketAddress.of(address, port);
  }

  /** @throws Error where it never happens */
  until(port: number): void {
    const deadline = performance.now() + PATIENCE;
    const wanted = port === NOBODY ? LOST_TOGETHER : 1;
    for (let seen = 0; ; ) {
      seen = this.#ask() === port ? seen + 1 : 0;
      if (seen === wanted) return;
      if (performance.now() > deadline) throw new Error('a change has no effect');
      this.rest(REST);
    }
  }

  /** @param time ms */
  rest(time: number): void {
    Atomics.wait(this.#pillow, 0, 0, time);
  }

  /** @returns the port of who answers, or NOBODY */
  #ask(): number {
    const fd = openFlow(this.#target);
    this.#epoll.add(fd, EPOLLIN, 0);
    const { address, words } = this.#message;
    libc.send(fd, address, MESSAGE_SIZE, MSG_NOSIGNAL);
    const isAnswered = this.#epoll.wait(LOST_AFTER) > 0 && libc.read(fd, address, MESSAGE_SIZE) > 0;
    closeSocket(fd);
    return isAnswered ? words[0] : NOBODY;
  }
}
