import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { Problem } from '../../lib/model/problem.js';
import { Connections } from '../../lib/server/connections.js';
import { HealthCheckPorts } from '../../lib/server/health-check-ports.js';

function setUp(t: { teardown(run: () => Promise<void>): unknown }, isHealthy = () => true) {
  const problems: Problem[] = [];
  const counts = { listeners: 0 };
  const ports = new HealthCheckPorts({
    addresses: () => ['127.0.0.1'],
    isHealthy,
    connections: new Connections({ maxOpen: 10, idleMs: 10_000 }),
    onListeners: (count) => {
      counts.listeners += count;
    },
    onProblem: (problem) => problems.push(problem),
  });
  t.teardown(() => ports.close());
  return { ports, problems, counts };
}

/** A listener on a port that the kernel chose. */
async function occupy(): Promise<{ port: number; server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, server };
}

async function freePort(): Promise<number> {
  const { port, server } = await occupy();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const check = (port: number, localEndpoints: number) => ({
  namespace: 'default',
  name: 'web',
  port,
  localEndpoints,
});

t.test("the answers are those of kube-proxy's health-check node port", async (t) => {
  let healthy = true;
  const { ports, problems } = setUp(t, () => healthy);
  const port = await freePort();
  const ask = () => fetch(`http://127.0.0.1:${port}/any/path`);
  await ports.update([check(port, 2)]);
  const well = await ask();
  t.equal(well.status, 200);
  t.equal(well.headers.get('x-load-balancing-endpoint-weight'), '2');
  t.equal(well.headers.get('content-type'), 'application/json');
  t.same(await well.json(), {
    service: { namespace: 'default', name: 'web' },
    localEndpoints: 2,
    serviceProxyHealthy: true,
  });
  await ports.update([check(port, 0)]);
  const unwell = await ask();
  t.equal(unwell.status, 503, 'without local endpoints');
  t.match(await unwell.json(), { localEndpoints: 0 });
  await ports.update([check(port, 1)]);
  healthy = false;
  t.equal((await ask()).status, 503, 'while the proxy is not well');
  t.same(problems, []);
});

t.test('ports open and close as they are wanted', async (t) => {
  const { ports, counts } = setUp(t);
  const [first, second] = [await freePort(), await freePort()];
  await ports.update([check(first, 1)]);
  await ports.update([check(second, 1)]);
  await t.rejects(fetch(`http://127.0.0.1:${first}`), 'the old port is closed');
  t.equal((await fetch(`http://127.0.0.1:${second}`)).status, 200);
  t.equal(counts.listeners, 1, 'descriptors are accounted for');
  await ports.update([]);
  t.equal(counts.listeners, 0);
  await t.rejects(fetch(`http://127.0.0.1:${second}`));
});

t.test('a port in use is reported once, and is opened when it is free', async (t) => {
  const { ports, problems } = setUp(t);
  const { port, server } = await occupy();
  await ports.update([check(port, 1)]);
  await ports.update([check(port, 2)]);
  t.match(problems, [
    {
      object: 'Service default/web',
      message: `spec.healthCheckNodePort: cannot listen on 127.0.0.1:${port}: another program listens there already; stop that program (ss -lntp shows it) or change the Service; trying again`,
    },
  ]);
  await new Promise((resolve) => server.close(resolve));
  await ports.update([check(port, 1)]);
  t.equal((await fetch(`http://127.0.0.1:${port}`)).status, 200);
});
