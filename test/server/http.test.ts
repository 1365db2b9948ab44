import t from 'tap';
import { HttpServer, json, text } from '../../lib/server/http.js';

async function listen(port = 0): Promise<HttpServer> {
  const routes = {
    '/text': () => text('hello'),
    '/json': () => json({ a: 1 }, 503),
    '/broken': () => {
      throw new Error('no such luck');
    },
  };
  return await HttpServer.listen({ host: '127.0.0.1', port, flag: '--some-bind-address', routes });
}

t.test('answers by path, whatever the query', async (t) => {
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

t.test('tells what there is instead of a path that is not there', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/constructor`);
  t.equal(response.status, 404);
  t.match(await response.text(), '/text /json /broken');
});

t.test('an answer that fails is a 500, not the end of the program', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/broken`);
  t.equal(response.status, 500);
  t.match(await response.text(), 'no such luck');
});

t.test('nothing can be changed through it', async (t) => {
  const server = await listen();
  t.teardown(() => server.close());
  const response = await fetch(`http://127.0.0.1:${server.port}/text`, { method: 'POST', body: 'x' });
  t.equal(response.status, 405);
  t.equal((await fetch(`http://127.0.0.1:${server.port}/text`, { method: 'HEAD' })).status, 200);
});

t.test('a taken address is refused with the flag that sets it', async (t) => {
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
