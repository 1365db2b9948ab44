import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Refusal } from './talk.js';

/** Milliseconds. A client's TCP repeats its SYN after 1, 3, 7, 15 and 31 s. */
const PATIENCE_MS = 60_000;

/** An open TCP connection. @throws Refusal */
export async function openStream(host: string, port: number): Promise<Socket> {
  const stream = connect({ host, port, noDelay: true });
  // Between two reads, an error is for the next one to find.
  stream.on('error', () => {});
  stream.on('end', () => stream.destroy(new Error('the server has ended the connection')));
  try {
    await once(stream, 'connect', { signal: AbortSignal.timeout(PATIENCE_MS) });
    return stream;
  } catch (error) {
    stream.destroy();
    const { message, code } = error as NodeJS.ErrnoException;
    // A busy client hears of the connection and of its reset at the same time.
    throw new Refusal(`connect: ${message}`, code === 'ECONNRESET');
  }
}
