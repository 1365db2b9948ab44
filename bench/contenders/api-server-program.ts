/**
 * A program: an API server on the loopback address of a node. Its first argument is a file with its
 * objects, by the path of their collection. The second argument is a file with more objects. When this file
 * is replaced, the API server changes these objects.
 */

import { readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { exactly } from '../../test/lab/items.js';
import { FakeApiServer } from '../../test/sources/kubernetes/fake-apiserver.js';
import type { FakeObject } from '../../test/sources/kubernetes/fake-collections.js';

type Collections = Record<string, FakeObject[]>;

const [objectsFile, changingFile] = exactly(2, process.argv.slice(2));
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Collections;
const keyOf = ({ metadata }: FakeObject) => `${metadata.namespace}/${metadata.name}`;

/** Replaces the objects that differ. Deletes the objects that `next` does not have. */
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
