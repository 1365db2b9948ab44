import { hostPort } from '../../net/hostport.js';
import { EndpointLoads } from '../shared/endpointloads.js';
import {
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
    const loads = new EndpointLoads();
    let lookedAt = 0;
    for (const session of this.#holder(from).sessionsFrom(from.position)) {
      const { position } = session;
      if (lookedAt++ === PAGE_SIZE) return { sessions, loads: loads.all, next: { ...from, position } };
      if (!isWanted(session)) continue;
      loads.add({ portal: session.portal.key, endpoint: session.target?.name ?? null, sessions: 1 });
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
      carrier: 'relay',
      state,
      idleMs: Math.max(0, Math.round(this.#now() - usedAt)),
      bytesIn: null,
      bytesOut: null,
    };
  }
}

function filterOf({ service, client }: SessionsQuestion): (session: OpenSession) => boolean {
  const key = client === null ? null : clientKeyOf(client);
  return (session) =>
    (service === null || session.portal.balancer.service === service) &&
    (key === null || session.client === key);
}
