import { setTimeout as sleep } from 'node:timers/promises';
import type { PortalCounters } from '../../lib/dataplane/shared/counters.js';
import { COUNTER_FIELDS, type CounterValues } from '../../lib/dataplane/shared/counters.js';
import { type EndpointStatus, unusedEndpoint } from '../../lib/dataplane/shared/endpoints.js';
import type { PinCounts } from '../../lib/dataplane/shared/pins.js';
import type { PortalStatus } from '../../lib/portal/status.js';
import type { HttpAnswer } from '../../lib/server/answer.js';
import type { RouteRequest, Routes } from '../../lib/server/route.js';

/** The counts of a node on which nobody is pinned. */
export const NO_PINS: PinCounts = { counts: () => [], total: 0, evicted: 0 };

/** A request whose client does not go. @param url path and query */
export function requestFor(url: string): RouteRequest {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  return { method: 'GET', path: pathname, query: searchParams, signal: new AbortController().signal };
}

/** The answer of a path. */
export async function answerOf(routes: Routes, url: string): Promise<HttpAnswer> {
  const request = requestFor(url);
  return await routes[request.path]!(request);
}

/** The whole body of a path's answer. */
export async function bodyOf(routes: Routes, url: string): Promise<string> {
  const { body } = await answerOf(routes, url);
  if (typeof body === 'string') return body;
  let whole = '';
  for await (const piece of body) whole += piece;
  return whole;
}

/** The status of a serving portal. `over` has the members that differ. */
export function portalStatus(over: Partial<PortalStatus> = {}): PortalStatus {
  return {
    key: 'default/web:http/TCP/IPv4',
    service: 'default/web',
    portName: 'http',
    protocol: 'TCP',
    family: 'IPv4',
    vips: [{ address: '10.96.0.10', port: 80, masquerade: 'off-cluster' }],
    nodePort: null,
    proxyPort: 20_000,
    endpoints: ['10.0.0.1:8080', '10.0.0.2:8080'],
    affinity: null,
    rtpsRouting: null,
    activeStandby: false,
    state: 'serving',
    carrier: 'relay',
    relayReason: null,
    problems: [],
    ...over,
  };
}

/** Counters of 0. `over` has the members that differ. The key follows from the other names. */
export function portalCounters(over: Partial<PortalCounters> = {}): PortalCounters {
  const { service, portName, protocol, family } = { ...portalStatus(), ...over };
  const key = `${service}:${portName}/${protocol}/${family}`;
  const zeros = Object.fromEntries(COUNTER_FIELDS.map((field) => [field, 0])) as CounterValues;
  return { key, service, portName, protocol, family, ...zeros, ...over };
}

/** An endpoint that nobody has used. `over` has the members that differ. */
export function endpointStatus(over: Partial<EndpointStatus> = {}): EndpointStatus {
  const { key, service, portName, protocol, family } = portalCounters(over);
  const { isAvoided: _, ...unused } = unusedEndpoint('10.0.0.1:8080');
  return {
    key,
    service,
    portName,
    protocol,
    family,
    pod: 'default/web-1',
    state: 'ready',
    ...unused,
    ...over,
  };
}

/** An answer without an end. It counts the pieces that were made. */
export class EndlessAnswer {
  made = 0;
  hasEnded = false;

  *pieces(): Generator<string> {
    try {
      for (;;) {
        this.made++;
        yield 'x'.repeat(1000);
      }
    } finally {
      this.hasEnded = true;
    }
  }

  /** The same pieces as an AsyncIterable. */
  async *stream(): AsyncGenerator<string> {
    yield* this.pieces();
  }

  /** Resolves once the kernel's buffers are full, so that no more pieces are made. */
  async untilNothingIsTaken(): Promise<void> {
    for (let before = -1; before !== this.made; await sleep(50)) before = this.made;
  }
}
