import { copyFileSync, renameSync } from 'node:fs';
import { EPOLLIN, MSG_NOSIGNAL } from '../../lib/sys/constants.js';
import { Epoll } from '../../lib/sys/epoll.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket } from '../../lib/sys/socket.js';
import { openFlow } from './flow.js';
import { type ChangeWork, type LoadResult, MESSAGE_SIZE, NOBODY, type Target } from './plan.js';

/** Milliseconds between two flows. A measured time may be wrong by as much. */
const FLOW_PAUSE_MS = 0.5;
/** Milliseconds. A datagram without an answer is lost after this time. */
const LOST_AFTER_MS = 200;
/** After so many lost datagrams in a row, the Service is gone. Fewer may be lost by chance. */
const LOST_IN_A_ROW = 3;
/** Milliseconds. A change that has no effect within this time fails the measurement. */
const MAX_EFFECT_MS = 30_000;

/**
 * Changes the endpoint of a Service `times` times. Measures the time from each rename to the first new flow
 * to the new endpoint.
 */
export function change(target: Target, { file, versions, times, pauseMs }: ChangeWork): LoadResult {
  const latencies: number[] = [];
  const probe = new Probe(target);
  put(versions[0].file, file);
  probe.until(versions[0].port);
  const start = performance.now();
  for (let i = 1; i <= times; i++) {
    const version = versions[i % versions.length];
    probe.sleep(pauseMs);
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

/** Puts a version in place by a rename. @returns the time just before the rename */
function put(version: string, file: string): number {
  const hidden = `${version}.next`;
  copyFileSync(version, hidden);
  const now = performance.now();
  renameSync(hidden, file);
  return now;
}

/** Asks which endpoint answers, with a new flow each time. */
class Probe {
  readonly #target: SocketAddress;
  readonly #epoll = new Epoll(1);
  readonly #message = new Memory(MESSAGE_SIZE);
  readonly #sleepCell = new Int32Array(new SharedArrayBuffer(4));

  constructor({ address, port }: Target) {
    this.#target = SocketAddress.of(address, port);
  }

  /** Returns once the endpoint with this port answers. @throws Error if this never happens */
  until(port: number): void {
    const deadline = performance.now() + MAX_EFFECT_MS;
    const wanted = port === NOBODY ? LOST_IN_A_ROW : 1;
    for (let seen = 0; ; ) {
      seen = this.#ask() === port ? seen + 1 : 0;
      if (seen === wanted) return;
      if (performance.now() > deadline) throw new Error('a change has no effect');
      this.sleep(FLOW_PAUSE_MS);
    }
  }

  sleep(ms: number): void {
    Atomics.wait(this.#sleepCell, 0, 0, ms);
  }

  /** @returns the port of the endpoint that answers, or NOBODY */
  #ask(): number {
    const fd = openFlow(this.#target);
    this.#epoll.add(fd, EPOLLIN, 0);
    const { address, words } = this.#message;
    libc.send(fd, address, MESSAGE_SIZE, MSG_NOSIGNAL);
    const isAnswered = this.#epoll.wait(LOST_AFTER_MS) > 0 && libc.read(fd, address, MESSAGE_SIZE) > 0;
    closeSocket(fd);
    return isAnswered ? words[0] : NOBODY;
  }
}
