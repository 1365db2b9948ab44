import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { clientAddress, clientKey } from '../../../../lib/dataplane/worker/clientkey.js';
import { Inbox } from '../../../../lib/dataplane/worker/udp/inbox.js';
import { listenDatagram } from '../../../../lib/sys/listening.js';
import { closeSocket, localAddress } from '../../../../lib/sys/socket.js';

t.test('a received datagram has its sender and its payload', async (t) => {
  const fd = listenDatagram({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false }, 65536);
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => {
    client.close();
    closeSocket(fd);
  });
  await once(client, 'listening');
  const texts = ['first', '', 'a third one'];
  for (const text of texts) client.send(text, localAddress(fd).port, '127.0.0.1');
  const inbox = new Inbox();
  const payloads: string[] = [];
  while (payloads.length < texts.length) {
    const count = inbox.receive(fd);
    if (count <= 0) await sleep(1);
    for (let slot = inbox.first; slot < inbox.first + count; slot++) {
      const { names, nameAt, payload } = inbox.head(slot);
      t.equal(clientAddress(clientKey(names, nameAt)), '127.0.0.1');
      payloads.push(Buffer.from(payload).toString());
    }
  }
  t.same(payloads, texts);
});
