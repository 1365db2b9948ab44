import type { Link, Observation } from '../observation.js';
import { tenths } from '../tenths.js';
import type { Attempt, ClientSetup } from './clienttasks.js';
import { askOverTcp, UdpConversation, type Way } from './conversations.js';
import type { Dialect } from './identify/dialect.js';
import { dialectOf } from './identify/dialects.js';
import { type Kind, portText, type ServicePort } from './identify/kinds.js';
import { reasonOf } from './noname.js';

/** A port of the Service, and how its backends are asked for their names. */
interface AskedPort extends ServicePort {
  readonly dialect: Dialect;
}

/** When a question is asked, and for which part of the run. */
export interface Moment {
  readonly stage: number;
  readonly round: number;
}

/** Asks one question at a time over a link, and notes what came of it. */
export class Prober {
  readonly #setup: ClientSetup;
  readonly #ports = new Map<string, AskedPort>();

  constructor(setup: ClientSetup) {
    this.#setup = setup;
  }

  /** Tries the kinds one after the other, until one makes a backend tell its name. */
  async identify(
    client: string,
    port: ServicePort,
    kinds: readonly Kind[],
  ): Promise<{ kind: Kind | null; attempts: Attempt[] }> {
    const attempts: Attempt[] = [];
    for (const kind of kinds) {
      const asked = { ...port, dialect: dialectOf(kind, port, this.#setup) };
      try {
        await this.#ask(client, asked);
        this.#ports.set(portText(port), asked);
        return { kind, attempts };
      } catch (error) {
        attempts.push({ kind, error: reasonOf(error) });
      }
    }
    return { kind: null, attempts };
  }

  /** Asks over a new connection, or from a new UDP socket. */
  observe(link: Link, moment: Moment): Promise<Observation> {
    return this.note(link, moment, () => this.#ask(link.client, this.#portOf(link)));
  }

  /** Opens a UDP socket that keeps its port for many questions. Null for a TCP port. */
  async converse(link: Link): Promise<UdpConversation | null> {
    const port = this.#portOf(link);
    return port.protocol === 'TCP'
      ? null
      : await UdpConversation.open(port.dialect, this.#wayOf(link.client, port));
  }

  /** Notes what comes of a question. */
  async note(
    { client, port }: Link,
    { stage, round }: Moment,
    ask: () => Promise<string>,
  ): Promise<Observation> {
    const atMs = this.#nowMs();
    const question = () => ({ atMs, tookMs: tenths(this.#nowMs() - atMs), stage, round, client, port });
    try {
      const backend = await ask();
      return { ...question(), backend, error: null };
    } catch (error) {
      return { ...question(), backend: null, error: reasonOf(error) };
    }
  }

  async #ask(client: string, port: AskedPort): Promise<string> {
    const way = this.#wayOf(client, port);
    const { patienceMs } = this.#setup;
    if (port.protocol === 'TCP') return await askOverTcp(port.dialect, way, patienceMs);
    const conversation = await UdpConversation.open(port.dialect, way);
    try {
      return await conversation.ask(patienceMs);
    } finally {
      conversation.close();
    }
  }

  #portOf({ port }: Link): AskedPort {
    const asked = this.#ports.get(port);
    if (asked === undefined) throw new Error(`nobody knows how to ask at ${port}`);
    return asked;
  }

  #wayOf(client: string, { port }: ServicePort): Way {
    return { client, port, address: this.#setup.address };
  }

  #nowMs(): number {
    return tenths(Number(process.hrtime.bigint() - this.#setup.startNs) / 1e6);
  }
}
