import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';

/** A connected UDP socket: it hears answers from the address that it asks and from no other. */
export async function openDatagrams(address: string, port: number, onAnswer: (answer: string) => void) {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  // Refusals of endpoints. Whether they matter shows when answers are missing.
  socket.on('error', () => {});
  socket.on('message', (message) => onAnswer(String(message)));
  socket.connect(port, address);
  await once(socket, 'connect');
  return socket;
}
