import type { NodeState } from '../model/node.js';
import type { ObjectSet } from '../model/objects.js';
import type { Problem } from '../model/problem.js';

/** Where Services and their endpoints come from: manifest files or the Kubernetes API. */
export interface Source {
  /**
   * Starts to watch. Resolves when the first complete state was delivered through `onChange`; later changes
   * come through the same callback, already coalesced, each time with the whole set. Objects that did not
   * change keep their identity (`===`), so that the model can reuse what it made from them.
   */
  start(onChange: (objects: ObjectSet) => void): Promise<void>;
  /** Ends a {@link start} that still waits, too. */
  stop(): Promise<void>;
  /**
   * The own Node where the source knows it. A change of it comes through `onChange`, with the same objects.
   */
  readonly node?: NodeState | null;
  /**
   * Tells the owner of an object, where the source has a way to, what this node makes of it.
   * @param reason one CamelCase word for machines
   */
  warnOwner?(problem: Problem, reason: string): void;
}
