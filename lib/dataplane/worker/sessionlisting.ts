import { hostPort } from '../../net/hostport.js';
import { SocketAddress } from '../../sys/sockaddr.js';
import {
  type EndpointLoad,
  PAGE_SIZE,
  type PageStart,
  type Session,
  type SessionsPage,
  type SessionsQuestion,
} from '../shared/sessions.js';
import { type ClientKey, clientAddress, clientKey } from './clientkey.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

/** A TCP session or a UDP flow, as its relay shows it. */
export interface OpenSession {
  /** Its place in the relay's order. */
  readonly at: number;
  readonly portal: ServedPortal;
  /** Null until an endpoint has been chosen. */
  readonly target: Target | null;
  readonly state: Session['state'];
  /** When it last carried something (loop clock, ms). */
  readonly usedAt: number;
  readonly client: ClientKey;
  /** 0 where it is not known any more. */
  readonly clientPort: number;
}

/** Who has open sessions. */
export interface SessionHolder {
  /** Its open sessions in their order, from a place on. */
  sessionsFrom(at: number): Iterable<OpenSession>;
}

/** Lists a worker's sessions, a page at a time: the worker relays between the pages. */
export class SessionListing {
  readonly #tcp: SessionHolder;
  readonly #udp: SessionHolder;
  readonly #now: () => number;

  constructor(tcp: SessionHolder, udp: SessionHolder, now: () => number) {
    this.#tcp = tcp;
    this.#udp = udp;
    this.#now = now;
  }

  /** @throws TypeError if the client of the question is no IP address */
  page(question: SessionsQuestion): SessionsPage {
    const { from, maxListed } = question;
    const isWanted = filterOf(question);
    const sessions: Session[] = [];
    const loads = new Loads();
    let lookedAt = 0;
    for (const session of this.#holder(from).sessionsFrom(from.at)) {
      if (lookedAt++ === PAGE_SIZE) return { sessions, loads: loads.all, next: { ...from, at: session.at } };
      if (!isWanted(session)) continue;
      loads.count(session);
      if (sessions.length < maxListed) sessions.push(this.#describe(session));
    }
    return { sessions, loads: loads.all, next: from.protocol === 'TCP' ? { protocol: 'UDP', at: 0 } : null };
  }

  #holder({ protocol }: PageStart): SessionHolder {
    return protocol === 'TCP' ? this.#tcp : this.#udp;
  }

  #describe({ portal, target, state, usedAt, client, clientPort }: OpenSession): Session {
    return {
      portal: portal.key,
      client: hostPort(clientAddress(client), clientPort),
      endpoint: target?.name ?? null,
      state,
      idleMs: Math.max(0, Math.round(this.#now() - usedAt)),
    };
  }
}

function filterOf({ service, client }: SessionsQuestion): (session: OpenSession) => boolean {
  const key = client === null ? null : keyOf(client);
  return (session) =>
    (service === null || session.portal.balancer.service === service) &&
    (key === null || session.client === key);
}

function keyOf(client: string): ClientKey {
  return clientKey(SocketAddress.of(client, 0).memory.words, 0);
}

/** How many sessions each endpoint has, by portal. */
class Loads {
  readonly #byPortal = new Map<string, Map<string | null, number>>();

  count({ portal, target }: OpenSession): void {
    let counts = this.#byPortal.get(portal.key);
    if (counts === undefined) {
      counts = new Map();
      this.#byPortal.set(portal.key, counts);
    }
    const endpoint = target?.name ?? null;
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }

  get all(): EndpointLoad[] {
    return [...this.#byPortal].flatMap(([portal, counts]) =>
      [...counts].map(([endpoint, sessions]) => ({ portal, endpoint, sessions })),
    );
  }
}
