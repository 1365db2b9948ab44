import type { ClientKey } from '../clientkey.js';

/**
 * A session moves to the end of its client's list at most once in this time. So the order is exact to a
 * second, and most packets cost one comparison only.
 */
const RESOLUTION_MS = 1000;

/** A session in the list of its client. Only the list sets the three fields. */
export interface ClientSession {
  clientPrevious: ClientSession | null;
  clientNext: ClientSession | null;
  /** When data last moved, exact to one second (loop clock, whole ms). */
  usedAt: number;
  /** Ends the session to make room for other clients. */
  evict(): void;
}

/** A client address, with its open sessions at all portals of one worker. */
export class Client {
  sessions = 0;
  /** The session that has been idle for the longest time. */
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

  /** Notes that the session has moved data. */
  touch(session: ClientSession, now: number): void {
    if (now - session.usedAt < RESOLUTION_MS) return;
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
   * Sets the links to null: otherwise an ended session that is not collected yet would keep the next one in
   * memory, and that one the one after it.
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
 * The clients of one worker, with their open sessions. The kernel spreads the connections of one address
 * evenly over the workers (or, with affinity, keeps them in one). So the counts of one worker show well
 * enough which client has more than others.
 */
export class ClientTable {
  readonly #clients = new Map<ClientKey, Client>();
  #greediest: Client | null = null;
  /** No client except the greediest has more sessions. It may be that none has this many. */
  #bound = 0;

  /** How many clients have an open session. */
  get size(): number {
    return this.#clients.size;
  }

  /** A client with the most sessions; null if there are no sessions. */
  get greediest(): Client | null {
    if (this.#greediest === null || this.#greediest.sessions < this.#bound) this.#findGreediest();
    return this.#greediest;
  }

  sessionsOf(key: ClientKey): number {
    return this.#clients.get(key)?.sessions ?? 0;
  }

  /**
   * Adds a session that begins.
   * @param now loop clock, ms
   * @returns the client; the session must {@link leave} it at its end
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
