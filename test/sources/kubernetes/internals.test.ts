import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Pool } from '../../../lib/sources/kubernetes/undici-pool.js';

const require = createRequire(import.meta.url);
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const packages = Object.keys(dependencies);

/** Files of packages that `lib/` imports by their path inside the package. */
function internals(): string[] {
  const files = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const texts = files.map((file) => readFileSync(join('lib', file), 'utf8'));
  const named = texts.flatMap((text) => [...text.matchAll(/(?:from |import\(|require\()'([^'.][^']*)'/g)]);
  const paths = named.map(([, path = '']) => path);
  return [...new Set(paths.filter((path) => packages.some((name) => path.startsWith(`${name}/`))))];
}

t.test('a package is pinned to one version if lib imports its internal files', async (t) => {
  t.match(internals().sort(), [
    '@kubernetes/client-node/dist/config_types.js',
    'undici/lib/api/api-request.js',
    'undici/lib/dispatcher/pool.js',
  ]);
  for (const path of internals()) {
    await t.resolves(import(path), path);
    const name = packages.find((name) => path.startsWith(`${name}/`))!;
    t.match(dependencies[name], /^\d+\.\d+\.\d+$/, `package.json: ${name}`);
  }
});

t.test("a pool from undici's internal files answers, and the rest of undici is not loaded", async (t) => {
  const server = createServer((request, response) => response.end(`you asked for ${request.url}`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { connections: 1 });
  const { statusCode, body } = await pool.request({ path: '/api', method: 'GET' });
  t.equal(statusCode, 200);
  t.equal(await body.text(), 'you asked for /api');
  await pool.close();
  const loaded = Object.keys(require.cache).filter((file) => file.includes('/node_modules/undici/'));
  t.ok(loaded.some((file) => file.endsWith('/lib/dispatcher/pool.js')));
  t.same(
    loaded.filter((file) => /\/undici\/index\.js$|\/lib\/web\/fetch\/index\.js$|websocket/.test(file)),
    [],
  );
});
