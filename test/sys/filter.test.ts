import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import t from 'tap';
import { ignoreAllBut, ignoreNobody } from '../../lib/sys/filter.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { closeSocket } from '../../lib/sys/socket.js';
import { sh } from '../redirect/namespace.js';

const PORT = 8080;
const CASES = {
  IPv4: {
    server: '127.0.0.1',
    heard: '10.1.2.3',
    ranges: ['192.0.2.0/24', '10.1.0.0/16'],
    ignored: '10.2.2.3',
  },
  IPv6: {
    server: '::1',
    heard: 'fd00:1:8::3',
    ranges: ['2001:db8::1', 'fd00:1:8::/45'],
    ignored: 'fd00:1:10::3',
  },
};

function connect(from: string, host: string): Socket {
  return createConnection({ host, port: PORT, localAddress: from }).on('error', () => undefined);
}

for (const [family, { server, heard, ranges, ignored }] of Object.entries(CASES)) {
  t.test(`a filtered socket drops the packets of all clients that are not listed, ${family}`, async (t) => {
    const length = family === 'IPv4' ? '32' : '128 nodad';
    for (const address of [heard, ignored]) {
      const [prefix, ...flags] = length.split(' ');
      sh(`ip addr add ${address}/${prefix} dev lo ${flags.join(' ')}`);
    }
    const fd = listenStream({ address: server, port: PORT, sharing: 'nobody', freeBind: false });
    t.teardown(() => closeSocket(fd));
    startListening(fd);
    t.ok(ignoreAllBut(fd, ranges));

    const deaf = connect(ignored, server);
    const known = connect(heard, server);
    t.teardown(() => [deaf, known].map((socket) => socket.destroy()));
    await once(known, 'connect');
    t.ok(deaf.connecting, 'neither accepted nor refused');

    ignoreNobody(fd);
    await once(deaf, 'connect');
    t.pass('its next try is heard');
  });
}
