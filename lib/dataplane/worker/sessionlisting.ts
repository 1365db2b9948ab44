import { hostPort } from '../../net/hostport.js';
import {
  type EndpointLoad,
  PAGE_SIZE,
  type PageStart,
  type Session,
  type SessionsPage,
  type SessionsQuestion,
} from '../shared/sessions.js';
import { type ClientKey, clientAddress, clientKeyOf } from './clientkey.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

const FIRST_UDP_PAGE: PageStart = { protocol: 'UDP', position: 0 };

/** A TCP session or a UDP flow, as its {@link SessionHolder} lists it. */
export interface OpenSession {
  /** See PageStart. */
  readonly position: number;
  readonly portal: ServedPortal;
  /** Null until an endpoint has been chosen. */
  readonly target: Target | null;
  readonly state: Session['state'];
  /** When it last carried data (loop clock, ms). */
  readonly usedAt: number;
  readonly client: ClientKey;
  /** 0 if the kernel no longer knows it. */
  readonly clientPort: number;
}

/** A table of open sessions. */
export interface SessionHolder {
  /** The open sessions from a position on, in the order of their positions. */
  sessionsFrom(position: number): Iterable<OpenSession>;
}

/** Lists a worker's sessions page by page. The worker relays between the pages. */
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
    for (const session of this.#holder(from).sessionsFrom(from.position)) {
      const { position } = session;
      if (lookedAt++ === PAGE_SIZE) return { sessions, loads: loads.all, next: { ...from, position } };
      if (!isWanted(session)) continue;
      loads.count(session);
      if (sessions.length < maxListed) sessions.push(this.#describe(session));
    }
    return { sessions, loads: loads.all, next: from.protocol === 'TCP' ? FIRST_UDP_PAGE : null };
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
  const key = client === null ? null : clientKeyOf(client);
  return (session) =>
    (service === null || session.portal.balancer.service === service) &&
    (key === null || session.client === key);
}

/** Counts the sessions of each endpoint of each portal. */
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
