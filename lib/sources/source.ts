import type { ObjectSet } from '../model/objects.js';

/** Where Services and their endpoints come from: manifest files now, the Kubernetes API next. */
export interface Source {
  /**
   * Starts to watch. Resolves when the first complete state was delivered through `onChange`; later changes
   * come through the same callback, already coalesced, each time with the whole set. Objects that did not
   * change keep their identity (`===`), so that the model can reuse what it made from them.
   */
  start(onChange: (objects: ObjectSet) => void): Promise<void>;
  stop(): Promise<void>;
}
