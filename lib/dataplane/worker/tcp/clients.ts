import type { ClientKey } from '../clientkey.js';

/**
 * A session moves to the end of its client's list at most once in this time, ms. So the order is exact to a
 * second, and a packet costs one comparison.
 */
const RESOLUTION = 1000;

/** A session in the list of its client. The links and the time belong to the list. */
export interface ClientSession {
  clientPrevious: ClientSession | null;
  clientNext: ClientSession | null;
  /** When data last moved (loop clock, whole ms), to a second below. */
  usedAt: number;
  /** Ends it for the sake of other clients. */
  evict(): void;
}

/** A client address and its open sessions at all portals of one worker. */
export class Client {
  sessions = 0;
  /** The longest unused one. */
  idlest: ClientSession | null = null;
  #latest: ClientSession | null = null;

  constructor(readonly key: ClientKey) {}

  add(session: ClientSession, now: number): void {
    this.sessions++;
    this.#append(session, now);
  }

  remove(session: ClientSession): void {
    this.sessions--;
    this.#unlink(session);
  }

  /** Data of the session moved. */
  touch(session: ClientSession, now: number): void {
    if (now - session.usedAt < RESOLUTION) return;
    this.#unlink(session);
    this.#append(session, now);
  }

  #append(session: ClientSession, now: number): void {
    session.usedAt = Math.floor(now);
    session.clientPrevious = this.#latest;
    session.clientNext = null;
    if (this.#latest === null) this.idlest = session;
    else this.#latest.clientNext = session;
    this.#latest = session;
  }

  /**
   * The links are cut: else an ended session that is not collected yet would keep the next one alive, and
   * that one the next again.
   */
  #unlink(session: ClientSession): void {
    const { clientPrevious, clientNext } = session;
    if (clientPrevious === null) this.idlest = clientNext;
    else clientPrevious.clientNext = clientNext;
    if (clientNext === null) this.#latest = clientPrevious;
    else clientNext.clientPrevious = clientPrevious;
    session.clientPrevious = null;
    session.clientNext = null;
  }
}

/**
 * Who has how many sessions open in one worker. The kernel spreads the connections of one address evenly over
 * the workers (or, with affinity, keeps them in one), so a worker's own counts tell well enough who takes
 * more than others.
 */
export class ClientTable {
  readonly #clients = new Map<ClientKey, Client>();
  #greediest: Client | null = null;
  /** No client but the greediest has more sessions than this; it may be that none has so many. */
  #bound = 0;

  /** How many clients have a session open. */
  get size(): number {
    return this.#clients.size;
  }

  /** A client with the most sessions; null while nobody has any. */
  get greediest(): Client | null {
    if (this.#greediest === null || this.#greediest.sessions < this.#bound) this.#findGreediest();
    return this.#greediest;
  }

  sessionsOf(key: ClientKey): number {
    return this.#clients.get(key)?.sessions ?? 0;
  }

  /**
   * A session of this client begins.
   * @param now loop clock, ms
   * @returns the client that it must leave at its end
   */
  enter(key: ClientKey, session: ClientSession, now: number): Client {
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = new Client(key);
      this.#clients.set(key, client);
    }
    client.add(session, now);
    this.#compare(client);
    return client;
  }

  leave(client: Client, session: ClientSession): void {
    client.remove(session);
    if (client.sessions > 0) return;
    this.#clients.delete(client.key);
    if (client === this.#greediest) this.#greediest = null;
  }

  #compare(client: Client): void {
    if (client === this.#greediest) return;
    const most = Math.max(this.#greediest?.sessions ?? 0, this.#bound);
    if (client.sessions > most) {
      this.#greediest = client;
      this.#bound = most;
    } else if (client.sessions > this.#bound) {
      this.#bound = client.sessions;
    }
  }

  #findGreediest(): void {
    this.#greediest = null;
    this.#bound = 0;
    for (const client of this.#clients.values()) this.#compare(client);
  }
}
