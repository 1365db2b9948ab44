/** Sends SYNs from ever other addresses: `VIP PORT PER-SECOND`. It ends when it is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AF_INET } from '../../lib/sys/constants.js';
import { PacketInjector } from '../../lib/sys/injector.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { numberOf, synPacket } from './syn.js';

const [address = '', port = '', perSecond = ''] = process.argv.slice(2);
const injector = PacketInjector.open(AF_INET);
const towards = SocketAddress.of(address, 0);
const vip = numberOf(address);
const first = numberOf('10.99.0.0');
const began = performance.now();

process.stdout.write('sending\n');
for (let sent = 0; ; ) {
  const due = ((performance.now() - began) / 1000) * Number(perSecond);
  while (sent < due) {
    const client = first + (sent & 0xffff);
    const syn = synPacket({ client, clientPort: 1024 + (sent >>> 16), vip, port: Number(port) }, sent);
    injector.pushPacket(syn, 0, syn.length);
    sent++;
    if (injector.isFull) injector.send(towards);
  }
  injector.send(towards);
  await sleep(1);
}
