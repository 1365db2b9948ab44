import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { isUnreachable } from '../../../lib/sources/kubernetes/api-error.js';
import { Backoff } from '../../../lib/sources/kubernetes/backoff.js';
import { ApiClient } from '../../../lib/sources/kubernetes/client.js';

/** Long enough an outage for every bound to be reached. */
const TRIES = 200;
const AWAY = { isUnreachable: true };
const REFUSING = { isUnreachable: false };

function waits(backoff: Backoff, failure: Parameters<Backoff['nextDelayMs']>[0]): number[] {
  return Array.from({ length: TRIES }, () => backoff.nextDelayMs(failure));
}

/** A server that does this with every connection. @returns the error of a request to it */
async function errorOfRequestTo(t: Test, treat: (socket: Socket) => unknown): Promise<Error> {
  const server = createServer(treat).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.teardown(() => server.close());
  return errorOfRequest(t, port);
}

async function errorOfRequest(t: Test, port: number): Promise<Error> {
  const cluster = { name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: false };
  const client = new ApiClient({ cluster, user: { name: '' } });
  t.teardown(() => client.close());
  return client.get('/', {}, new AbortController().signal).then(
    () => t.fail('the request worked'),
    (error: Error) => error,
  ) as Promise<Error>;
}

t.test('however long a server was away, it is asked again within two seconds of its return', async (t) => {
  const times = waits(new Backoff(), AWAY);
  t.ok(Math.max(...times) < 2_000);
  t.ok(Math.min(...times) >= 250, 'and not without a rest');
  t.ok(new Set(times).size > TRIES / 2, 'nodes do not come in step');
});

t.test('a server that answers with errors gets longer rests, up to fifteen seconds', async (t) => {
  const times = waits(new Backoff(), REFUSING);
  t.ok(Math.max(...times) > 7_500);
  t.ok(Math.max(...times) <= 15_000);
  t.ok(times[0]! <= 500);
});

t.test('what a server says while it starts is no reason to stay away for long', async (t) => {
  const backoff = new Backoff();
  waits(backoff, REFUSING);
  waits(backoff, AWAY);
  t.ok(backoff.nextDelayMs(REFUSING) <= 500);
});

t.test('a server that says when to come again is not asked sooner', async (t) => {
  t.equal(new Backoff().nextDelayMs({ ...REFUSING, retryAfterMs: 30_000 }), 30_000);
});

t.test(
  'nobody listens, or the connection breaks: it is away; an answer shows that it is there',
  async (t) => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    t.equal(isUnreachable(await errorOfRequest(t, port)), true, 'refused');
    const reset = await errorOfRequestTo(t, (socket) => socket.resetAndDestroy());
    t.equal(isUnreachable(reset), true, 'reset');
    const ended = await errorOfRequestTo(t, (socket) => socket.end());
    t.equal(isUnreachable(ended), true, 'ended');
    const refused = await errorOfRequestTo(t, (socket) =>
      socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n'),
    );
    t.equal(isUnreachable(refused), false, 'status 503');
    const noHttp = await errorOfRequestTo(t, (socket) => socket.end('no HTTP\r\n\r\n'));
    t.equal(isUnreachable(noHttp), false, 'no HTTP');
  },
);
