import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { json, text } from '../../lib/server/answer.js';
import { type ConnectionLimits, Connections } from '../../lib/server/connections.js';
import { HttpServer } from '../../lib/server/http.js';
import { OwnNames } from '../../lib/server/own-names.js';

/** Milliseconds. Longer than any test takes. */
const NEVER = 3_600_000;

async function listen(port = 0, limits: Partial<ConnectionLimits> = {}): Promise<HttpServer> {
  const routes = {
    '/text': () => text('hello'),
    '/json': () => json({ a: 1 }, 503),
    '/broken': () => {
      throw new Error('no such luck');
    },
    '/never': () => new Promise<never>(() => {}),
  };
  return await HttpServer.listen({
    host: '127.0.0.1',
    port,
    flag: '--some-bind-address',
    routes,
    connections: new Connections({ maxOpen: 100, idleMs: NEVER, ...limits }),
    names: new OwnNames(['Robot-7']),
  });
}

t.test('the path chooses the answer, whatever the query is', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const at = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init);
  t.equal(await (await at('/text')).text(), 'hello');
  t.equal(await (await at('/text?verbose')).text(), 'hello');
  const unwell = await at('/json');
  t.equal(unwell.status, 503);
  t.match(unwell.headers.get('content-type'), 'application/json');
  t.same(await unwell.json(), { a: 1 });
});

t.test('the answer to an unknown path is 404 and names the known paths', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/constructor`);
  t.equal(response.status, 404);
  t.match(await response.text(), '/text /json /broken /never');
});

t.test('a route that fails answers 500, and the program goes on', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/broken`);
  t.equal(response.status, 500);
  t.match(await response.text(), 'no such luck');
});

t.test('methods other than GET and HEAD are refused', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/text`, { method: 'POST', body: 'x' });
  t.equal(response.status, 405);
  t.equal((await fetch(`http://127.0.0.1:${server.port}/text`, { method: 'HEAD' })).status, 200);
});

t.test('the error for an address in use names the flag', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  await t.rejects(listen(server.port), {
    message: `--some-bind-address: cannot listen on 127.0.0.1:${server.port}: another program listens there already; give another address:port, or '' for none`,
  });
});

t.test('closing ends idle connections at once and frees the address', async () => {
  const server = await listen();
  const { port } = server;
  await (await fetch(`http://127.0.0.1:${port}/text`)).text();
  await server.close();
  const again = await listen(port);
  await again.close();
});

/** An open connection, from an address of the loopback network. */
async function hold(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

t.test('at the limit of connections, the client with the most loses one', async (t) => {
  const server = await listen(0, { maxOpen: 4 });
  t.teardown(() => server.close());
  const other = await hold(server.port, '127.0.0.2');
  const first = await hold(server.port);
  first.write('GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [second, third] = [await hold(server.port), await hold(server.port)];
  // Later requests use a fifth connection.
  const ask = async () => (await fetch(`http://127.0.0.1:${server.port}/text`)).status;
  t.equal(await ask(), 200);
  await until(() => second.closed);
  t.notOk(other.closed || first.closed || third.closed, 'its oldest idle connection is closed');
  for (let count = 0; count < 100; count++) await hold(server.port);
  t.equal(await ask(), 200, 'and other clients are answered meanwhile');
  t.notOk(other.closed, 'a client with few connections keeps them');
  t.notOk(first.closed, 'a client that waits for an answer keeps its connection');
  for (const socket of [other, first]) socket.destroy();
});

t.test('a connection is closed if a request does not arrive in time', async (t) => {
  const server = await listen(0, { idleMs: 100 });
  t.teardown(() => server.close());
  const silent = await hold(server.port);
  const slow = await hold(server.port);
  slow.write('GET /text HTTP/1.1\r\n');
  const writing = setInterval(() => slow.write('X: y\r\n'), 10);
  for (const socket of [silent, slow]) socket.resume();
  await until(() => silent.closed && slow.closed);
  clearInterval(writing);
});

t.test('a request before the answer to the last one ends the connection', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const socket = await hold(server.port);
  let answered = '';
  socket.on('data', (data) => (answered += String(data)));
  socket.write('GET /never HTTP/1.1\r\nHost: localhost\r\n\r\nGET /text HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await until(() => socket.closed);
  t.equal(answered, '');
  const next = await hold(server.port);
  next.on('data', (data) => (answered += String(data)));
  for (let count = 1; count <= 3; count++) {
    next.write('GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => answered.split('hello').length > count);
  }
  t.pass('one after the other they are answered');
  next.destroy();
});

t.test('a request with the name of another host is refused', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const statusFor = async (host: string) => {
    const sent = request({ host: '127.0.0.1', port: server.port, path: '/text', headers: { host } });
    sent.end();
    const [response] = await once(sent, 'response');
    response.resume();
    return response.statusCode as number;
  };
  const own = ['127.0.0.1', '192.0.2.1:10249', '[fd00::1]:10249', '[::1]', 'localhost', 'LocalHost:80'];
  for (const host of [...own, 'robot-7', 'ROBOT-7:10249', 'robot-7.local']) {
    t.equal(await statusFor(host), 200, host);
  }
  for (const host of [
    'evil.example',
    'robot-7.evil.example:80',
    '127.0.0.1.evil.example',
    '[evil]',
    'a:b:c',
  ]) {
    t.equal(await statusFor(host), 421, host);
  }
});
