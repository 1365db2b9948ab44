import type { NodeState } from '../model/node.js';
import type { ObjectSet } from '../model/objects.js';
import type { Problem } from '../model/problem.js';

/** Where Services and their endpoints come from: manifest files or the Kubernetes API. */
export interface Source {
  /**
   * Starts the watch. Resolves after the first call of `onChange`, with the first complete state. After each
   * change, `onChange` is called again with all objects. Several changes may share one call. An object that
   * has not changed is the same object (`===`), so that the model can reuse its results.
   */
  start(onChange: (objects: ObjectSet) => void): Promise<void>;
  /** Stops the watch. A {@link start} that still waits resolves. */
  stop(): Promise<void>;
  /** The Node object of this machine, if the source has one. When it changes, `onChange` is called. */
  readonly node?: NodeState | null;
  /**
   * Warns the owner of a Service or a Node about a problem, if the source can do this.
   * @param reason one CamelCase word for machines
   */
  warnOwner?(problem: Problem, reason: string): void;
}
