import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, isIPv4 } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Protocol } from '../../lib/net/protocol.js';
import { exactly } from '../lab/items.js';

export interface Target {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

/** Says its name to everyone who asks, over TCP and UDP and both families, on one port. */
export class NameServer {
  private constructor(
    readonly port: number,
    readonly close: () => void,
  ) {}

  /**
   * @param addresses each has its own UDP socket, because an answer must come from the address that was asked
   */
  static async start(name: string, addresses: readonly string[]): Promise<NameServer> {
    const server = createServer((socket) => socket.on('error', () => {}).end(name));
    server.listen(0, '::');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const sockets = await Promise.all(
      addresses.map(async (address) => {
        const socket = createSocket(isIPv4(address) ? 'udp4' : 'udp6');
        socket.bind(port, address);
        await once(socket, 'listening');
        return socket.on('message', (_, from) => socket.send(name, from.port, from.address));
      }),
    );
    return new NameServer(port, () => {
      server.close();
      for (const socket of sockets) socket.close();
    });
  }
}

/** Asks for the name behind an address. Resolves to it, or to the code of the error met. */
export async function reach({ protocol, address, port }: Target): Promise<string> {
  try {
    return await (protocol === 'TCP' ? askStream(address, port) : askDatagram(address, port));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** The same from another namespace. */
export async function reachFrom(namespace: string, { protocol, address, port }: Target): Promise<string> {
  const script = fileURLToPath(import.meta.url);
  const args = ['netns', 'exec', namespace, process.execPath, script, protocol, address, `${port}`];
  const { stdout } = await promisify(execFile)('ip', args);
  return stdout;
}

async function askStream(address: string, port: number): Promise<string> {
  return text(connect(port, address).setTimeout(5000));
}

async function askDatagram(address: string, port: number): Promise<string> {
  const socket = createSocket(isIPv4(address) ? 'udp4' : 'udp6');
  try {
    socket.connect(port, address);
    await once(socket, 'connect');
    socket.send('?');
    const [message] = await once(socket, 'message', { signal: AbortSignal.timeout(5000) });
    return String(message);
  } finally {
    socket.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [protocol, address, port] = exactly(3, process.argv.slice(2));
  process.stdout.write(await reach({ protocol: protocol as Protocol, address, port: Number(port) }));
}
