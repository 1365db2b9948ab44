/** Sends four datagrams of 1,200 bytes to each address in its arguments, and prints the result of the run. */
import { DatagramSender } from '../../lib/sys/datagramsender.js';
import { checked } from '../../lib/sys/errno.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect, openDatagram } from '../../lib/sys/socket.js';

const SIZE = 1200;
const sender = new DatagramSender(4);
const payload = new Memory(SIZE);
for (const address of process.argv.slice(2)) {
  const to = SocketAddress.of(address, 9);
  const fd = checked('socket', openDatagram(to.family));
  checked('connect', connect(fd, to));
  sender.clear();
  for (let i = 0; i < 4; i++) sender.push(payload, 0, SIZE);
  const sent = sender.sendConnected(fd);
  process.stdout.write(`${sender.segments} ${sent}\n`);
}
