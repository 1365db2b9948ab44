import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { familyOf } from '../../net/address.js';
import type { Asker, Dialect } from './identify/dialect.js';
import { NoName, REASONS } from './noname.js';

/** Where a question goes, and from which address. */
export interface Way {
  readonly client: string;
  readonly address: string;
  readonly port: number;
}

/**
 * Asks over a new TCP connection.
 * @returns the backend's name
 * @throws NoName without an answer within `patienceMs`, or without a name in it; ErrnoException
 */
export function askOverTcp(
  dialect: Dialect,
  { client, address, port }: Way,
  patienceMs: number,
): Promise<string> {
  const socket = connect({ host: address, port, localAddress: client, noDelay: true });
  const chunks: Buffer[] = [];
  return new Promise<string>((resolve, reject) => {
    const asker = { token: newToken(), question: 0, address: client, port: 0 };
    const timer = setTimeout(() => reject(new NoName(REASONS.silence)), patienceMs);
    const read = (isWhole: boolean) => {
      const name = dialect.nameIn(Buffer.concat(chunks), asker, isWhole);
      if (typeof name === 'string') resolve(name);
      else if (name === null || isWhole)
        reject(new NoName(chunks.length > 0 ? REASONS.nameless : REASONS.closed));
    };
    socket.on('connect', () => {
      const question = dialect.question(asker);
      if (question !== null) socket.write(question);
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      read(false);
    });
    socket.on('end', () => read(true));
    socket.on('error', reject);
    socket.on('close', () => clearTimeout(timer));
  }).finally(() => socket.destroy());
}

/** A UDP socket of one client, which is one flow: it keeps its port for all its questions. */
export class UdpConversation {
  readonly #dialect: Dialect;
  readonly #way: Way;
  readonly #socket: UdpSocket;
  readonly #asker: Omit<Asker, 'question'>;
  #questions = 0;

  private constructor(dialect: Dialect, way: Way, socket: UdpSocket) {
    this.#dialect = dialect;
    this.#way = way;
    this.#socket = socket;
    this.#asker = { token: newToken(), address: way.client, port: socket.address().port };
    // An error between two questions is not an answer to either.
    socket.on('error', () => {});
  }

  /** @throws ErrnoException if the client's address cannot be used */
  static async open(dialect: Dialect, way: Way): Promise<UdpConversation> {
    const socket = createSocket(familyOf(way.address) === 'IPv4' ? 'udp4' : 'udp6');
    try {
      socket.bind(0, way.client);
      await once(socket, 'listening');
      if (!dialect.isAnsweredDirectly) {
        socket.connect(way.port, way.address);
        await once(socket, 'connect');
      }
      return new UdpConversation(dialect, way, socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** A late answer may be taken for the answer to the next question. @throws as {@link askOverTcp} */
  async ask(patienceMs: number): Promise<string> {
    const asker = { ...this.#asker, question: this.#questions++ };
    try {
      return await this.#answerTo(asker, patienceMs);
    } finally {
      const farewell = this.#dialect.farewell?.(asker);
      if (farewell !== undefined) await this.#send(farewell).catch(() => {});
    }
  }

  close(): void {
    this.#socket.close();
  }

  async #answerTo(asker: Asker, patienceMs: number): Promise<string> {
    const [socket, dialect] = [this.#socket, this.#dialect];
    let stopListening = () => {};
    const answered = new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new NoName(REASONS.silence)), patienceMs);
      const read = (datagram: Buffer, from: RemoteInfo) => {
        const name = dialect.nameIn(datagram, asker, false, from.address);
        if (typeof name === 'string') resolve(name);
        else if (name === null) reject(new NoName(REASONS.nameless));
      };
      socket.on('message', read).on('error', reject);
      stopListening = () => {
        clearTimeout(timer);
        socket.off('message', read).off('error', reject);
      };
      this.#send(dialect.question(asker) ?? new Uint8Array()).catch(reject);
    });
    return await answered.finally(stopListening);
  }

  #send(bytes: Uint8Array): Promise<void> {
    const { port, address } = this.#way;
    return new Promise((resolve, reject) => {
      const done = (error: Error | null) => (error === null ? resolve() : reject(error));
      if (this.#dialect.isAnsweredDirectly) this.#socket.send(bytes, port, address, done);
      else this.#socket.send(bytes, done);
    });
  }
}

function newToken(): string {
  return randomBytes(8).toString('hex');
}
