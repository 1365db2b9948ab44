import t from 'tap';
import { Sources } from '../../bench/load/sources.js';
import { AF_INET } from '../../lib/sys/constants.js';
import { checked } from '../../lib/sys/errno.js';
import { closeSocket, openDatagram } from '../../lib/sys/socket.js';

const ADDRESSES = ['10.0.0.1', '10.0.0.2'];
const PORTS = 55_000;

const text = (sources: Sources) => {
  const { address, port } = sources.next();
  return `${address}:${port}`;
};

t.test('sources are the ports of one address, then those of the next, then those of the first', async (t) => {
  const sources = new Sources(ADDRESSES, PORTS - 2);
  const first = [text(sources), text(sources), text(sources)];
  t.same(first, ['10.0.0.1:64998', '10.0.0.1:64999', '10.0.0.2:10000']);
  t.equal(text(new Sources(ADDRESSES, 2 * PORTS - 1)), '10.0.0.2:64999');
  t.equal(text(new Sources(ADDRESSES, 2 * PORTS)), '10.0.0.1:10000');
});

t.test('no source comes twice before all have come', async (t) => {
  const sources = new Sources(ADDRESSES);
  const seen = new Set(Array.from({ length: 2 * PORTS }, () => text(sources)));
  t.equal(seen.size, 2 * PORTS);
});

t.test('a source that another socket has is passed over', async (t) => {
  const bound = [0, 0].map((first) => {
    const fd = checked('socket', openDatagram(AF_INET));
    const sources = new Sources(['127.0.0.1'], first);
    sources.bind(fd);
    return { fd, next: text(sources) };
  });
  for (const { fd } of bound) closeSocket(fd);
  t.not(bound[0]?.next, bound[1]?.next, 'both began at the same source');
});
