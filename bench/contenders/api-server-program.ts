/**
 * An API server with Services, endpoints and a Node on a node's loopback, a program of its own. Its arguments are a file
 * with the objects, by the path of their collection, and the name of one with more, which it follows.
 */

import { readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { exactly } from '../../test/lab/items.js';
import { FakeApiServer, type FakeObject } from '../../test/sources/kubernetes/fake-apiserver.js';

type Collections = Record<string, FakeObject[]>;

const [objectsFile, changingFile] = exactly(2, process.argv.slice(2));
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Collections;
const keyOf = ({ metadata }: FakeObject) => `${metadata.namespace}/${metadata.name}`;

/** Puts the new version in the place of the old one, where they differ. */
function replace(old: Collections, next: Collections): void {
  for (const [path, objects] of Object.entries(next)) {
    const before = new Map((old[path] ?? []).map((object) => [keyOf(object), object]));
    for (const object of objects) {
      if (!isDeepStrictEqual(object, before.get(keyOf(object)))) server.put(path, object);
      before.delete(keyOf(object));
    }
    for (const key of before.keys()) server.delete(path, key);
  }
}

const first = read(objectsFile);
const server = new FakeApiServer({ paths: Object.keys(first) });
replace({}, first);
let changing: Collections = {};
watch(dirname(changingFile), (_, name) => {
  if (name !== basename(changingFile)) return;
  const next = read(changingFile);
  replace(changing, next);
  changing = next;
});
await server.listen();
process.stdout.write(`${server.url}\n`);
