import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { portText, type ServicePort } from './identify/kinds.js';

/** A client that says nothing for so long is let go, ms. */
const IDLE_MS = 60_000;

/**
 * A backend that tells its name: in an HTTP answer to `GET`, else as `name:question`, over TCP and UDP. It
 * listens on all addresses of both IP families. Resolves once all ports are open.
 * @returns what closes the ports again
 * @throws Error that names the port
 */
export async function respond(name: string, ports: readonly ServicePort[]): Promise<() => void> {
  const closers: (() => void)[] = [];
  const close = () => {
    for (const closer of closers) closer();
  };
  for (const port of ports) {
    try {
      const listen = port.protocol === 'TCP' ? listenTcp : listenUdp;
      closers.push(await listen(name, port.port));
    } catch (error) {
      close();
      throw new Error(`${portText(port)}: ${(error as Error).message}`, { cause: error });
    }
  }
  return close;
}

async function listenTcp(name: string, port: number): Promise<() => void> {
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.on('close', () => clients.delete(socket));
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (question) => answer(socket, name, question));
  });
  server.listen({ port, host: '::' });
  await once(server, 'listening');
  return () => {
    server.close();
    for (const client of clients) client.destroy();
  };
}

function answer(socket: Socket, name: string, question: Buffer): void {
  if (question.toString('latin1', 0, 4) !== 'GET ') {
    socket.write(Buffer.concat([Buffer.from(`${name}:`), question]));
    return;
  }
  const body = `${name}\n`;
  const head = ['HTTP/1.1 200 OK', 'Content-Type: text/plain', `Content-Length: ${Buffer.byteLength(body)}`];
  socket.end(`${head.join('\r\n')}\r\nConnection: close\r\n\r\n${body}`);
}

async function listenUdp(name: string, port: number): Promise<() => void> {
  const sockets = (['udp4', 'udp6'] as const).map((type) =>
    createSocket({ type, ipv6Only: type === 'udp6' }),
  );
  for (const socket of sockets) {
    socket.on('message', (question, from) => {
      socket.send(Buffer.concat([Buffer.from(`${name}:`), question]), from.port, from.address, () => {});
    });
    socket.bind(port);
    await once(socket, 'listening');
  }
  return () => {
    for (const socket of sockets) socket.close();
  };
}
