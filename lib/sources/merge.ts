import { isDeepStrictEqual } from 'node:util';
import { type EndpointSlice, type ObjectSet, objectKey, type Service } from '../model/objects.js';
import type { FileState, PlacedObject } from './manifest-file.js';
import { describePlace, type ManifestProblem, type Place } from './manifest-problem.js';

export interface MergedFiles {
  readonly objects: ObjectSet;
  readonly problems: readonly ManifestProblem[];
}

/**
 * Joins the objects of all files. If an object is defined twice, the first definition is used. An object that
 * has not changed is the same object as in `before` (`===`). If nothing has changed, the result is `before`.
 */
export function mergeFiles(files: Iterable<FileState>, before: ObjectSet): MergedFiles {
  const places = new Map<string, Place>();
  const services = new Map<string, Service>();
  const slices = new Map<string, EndpointSlice>();
  const problems: ManifestProblem[] = [];
  for (const file of files) {
    for (const problem of file.problems) problems.push(problem);
    for (const { place, object } of file.objects) {
      const first = places.get(object.id);
      if (first !== undefined) {
        problems.push(duplicate({ place, object }, first));
        continue;
      }
      places.set(object.id, place);
      if (object.service) keep(services, object.service, before.services);
      for (const slice of object.slices) keep(slices, slice, before.slices);
    }
  }
  const isSame = isSameMap(services, before.services) && isSameMap(slices, before.slices);
  return { objects: isSame ? before : { services, slices }, problems };
}

function keep<T extends Service | EndpointSlice>(
  target: Map<string, T>,
  object: T,
  before: ReadonlyMap<string, T>,
): void {
  const key = objectKey(object);
  const known = before.get(key);
  target.set(key, known !== undefined && isDeepStrictEqual(known, object) ? known : object);
}

function isSameMap<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

function duplicate({ place, object }: PlacedObject, first: Place): ManifestProblem {
  return {
    ...place,
    object: object.id,
    message: `already defined in ${describePlace(first)}; this definition is ignored, remove one of the two`,
  };
}
