import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { clientAddress, clientKey } from '../../../../lib/dataplane/worker/clientkey.js';
import { Inbox } from '../../../../lib/dataplane/worker/udp/inbox.js';
import type { ReceivedDatagram } from '../../../../lib/dataplane/worker/udp/receiveddatagram.js';
import { listenDatagram } from '../../../../lib/sys/listening.js';
import { closeSocket, localAddress } from '../../../../lib/sys/socket.js';

async function socketPair(t: Test): Promise<{ fd: number; send(payload: Uint8Array): void }> {
  const fd = listenDatagram({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false }, 65536);
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => {
    client.close();
    closeSocket(fd);
  });
  await once(client, 'listening');
  const { port } = localAddress(fd);
  return { fd, send: (payload) => client.send(payload, port, '127.0.0.1') };
}

t.test('a received datagram has its sender and its payload', async (t) => {
  const { fd, send } = await socketPair(t);
  const texts = ['first', '', 'a third one'];
  for (const text of texts) send(Buffer.from(text));
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

t.test('the prefix of an RTPS message is part of the key, as far as the Service wants it', async (t) => {
  const { fd, send } = await socketPair(t);
  const prefix = '0110465b6276a1ab271afc1a';
  const message = Buffer.from(`5254505302050110${prefix}0e010c00`, 'hex');
  for (const payload of [message, message.subarray(0, 19), Buffer.from('no RTPS, but as long as one')]) {
    send(payload);
  }
  const inbox = new Inbox();
  const seen: string[][] = [];
  while (seen.length < 3) {
    const count = inbox.receive(fd);
    if (count <= 0) await sleep(1);
    for (let slot = inbox.first; slot < inbox.first + count; slot++) {
      seen.push([0, 4, 12].map((bytes) => prefixIn(inbox.head(slot), bytes)));
    }
  }
  t.same(seen, [
    ['', prefix.slice(0, 8), prefix],
    ['', '', ''],
    ['', '', ''],
  ]);
});

function prefixIn(head: ReceivedDatagram, bytes: number): string {
  head.tellApartBy(bytes);
  const { payloads, prefixAt, prefixWords } = head;
  return Buffer.from(payloads.slice(prefixAt, prefixAt + prefixWords).buffer).toString('hex');
}
