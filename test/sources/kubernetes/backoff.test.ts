import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { isUnreachable } from '../../../lib/sources/kubernetes/api-error.js';
import { Backoff } from '../../../lib/sources/kubernetes/backoff.js';
import { ApiClient } from '../../../lib/sources/kubernetes/client.js';

/** Enough failures to reach the longest delay. */
const TRIES = 200;
const UNREACHABLE = { isUnreachable: true };
const REFUSING = { isUnreachable: false };

function waits(backoff: Backoff, failure: Parameters<Backoff['nextDelayMs']>[0]): number[] {
  return Array.from({ length: TRIES }, () => backoff.nextDelayMs(failure));
}

/** Starts a server that treats each connection so. @returns the error of a request to it */
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

t.test('after an outage of any length, the next attempt comes within two seconds', async (t) => {
  const times = waits(new Backoff(), UNREACHABLE);
  t.ok(Math.max(...times) < 2_000);
  t.ok(Math.min(...times) >= 250, 'but not at once');
  t.ok(new Set(times).size > TRIES / 2, 'the delays of the nodes differ');
});

t.test('delays grow to fifteen seconds if the server answers with errors', async (t) => {
  const times = waits(new Backoff(), REFUSING);
  t.ok(Math.max(...times) > 7_500);
  t.ok(Math.max(...times) <= 15_000);
  t.ok(times[0]! <= 500);
});

t.test('errors of a server that starts do not make the delays long', async (t) => {
  const backoff = new Backoff();
  waits(backoff, REFUSING);
  waits(backoff, UNREACHABLE);
  t.ok(backoff.nextDelayMs(REFUSING) <= 500);
});

t.test('if the server says when to retry, it is not asked sooner', async (t) => {
  t.equal(new Backoff().nextDelayMs({ ...REFUSING, retryAfterMs: 30_000 }), 30_000);
});

t.test('a server is unreachable if nothing listens or the connection breaks', async (t) => {
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
});
