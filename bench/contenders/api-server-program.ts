/**
 * An API server with Services, endpoints and a Node on a node's loopback, a program of its own. Its argument is a file
 * with the objects, by the path of their collection.
 */
import { readFileSync } from 'node:fs';
import { FakeApiServer, type FakeObject } from '../../test/sources/kubernetes/fake-apiserver.js';

const collections = JSON.parse(readFileSync(process.argv[2], 'utf8')) as Record<string, FakeObject[]>;
const server = new FakeApiServer({ paths: Object.keys(collections) });
for (const [path, objects] of Object.entries(collections)) {
  for (const object of objects) server.put(path, object);
}
await server.listen();
process.stdout.write(`${server.url}\n`);
