#!/usr/bin/env node
/**
 * The sample backends of quickstart.yaml: on each of three loopback addresses a web server on port 8080 and
 * UDP echoers on ports 7410 and 7411, all answering with their name.
 *
 * Each listens until the program gets SIGTERM or SIGINT; "ready" is printed once all listen.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import process from 'node:process';

const BACKENDS = [
  { name: 'backend-1', address: '127.0.0.11' },
  { name: 'backend-2', address: '127.0.0.12' },
  { name: 'backend-3', address: '127.0.0.13' },
];
const WEB_PORT = 8080;
const ECHO_PORTS = [7410, 7411];

/** Answers every request with the backend's name; without keep-alive, so that each curl is balanced anew. */
async function serveWeb({ name, address }) {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', connection: 'close' });
    response.end(`hello from ${name} (${address}:${WEB_PORT})\n`);
  });
  server.listen(WEB_PORT, address);
  await once(server, 'listening');
}

/** Sends every datagram back with the backend's name before it. */
async function echo({ name, address }, port) {
  const socket = createSocket('udp4');
  socket.on('message', (message, client) => {
    const prefix = Buffer.from(`${name} (${address}:${port}): `);
    socket.send(Buffer.concat([prefix, message]), client.port, client.address);
  });
  socket.bind(port, address);
  await once(socket, 'listening');
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
// Whoever started this reads "ready" from a pipe; when that pipe closes, nobody needs the backends any more.
if (process.argv.includes('--until-stdin-closes')) process.stdin.resume().on('end', () => process.exit(0));

try {
  await Promise.all(
    BACKENDS.flatMap((backend) => [serveWeb(backend), ...ECHO_PORTS.map((port) => echo(backend, port))]),
  );
  process.stdout.write('ready\n');
} catch (error) {
  process.stderr.write(`error: a sample backend cannot listen: ${error.message}\n`);
  process.exit(1);
}
