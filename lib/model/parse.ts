import { Field, FieldError } from './field.js';
import { type ObjectMeta, objectKey } from './objects.js';
import type { Problem } from './problem.js';

/** A valid object for the model, or the problem with it. */
export type Parsed<T> =
  | { readonly ok: true; readonly object: string; readonly value: T }
  | {
      readonly ok: false;
      /** Kind and `namespace/name`, or null if the object has no valid name. */
      readonly object: string | null;
      readonly problem: Problem;
    };

/** Labels that make kube-proxy ignore a Service and its slices (the label selector of its informers). */
const EXCLUDING_LABELS = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];

/**
 * Runs `read` on an untrusted object. The first invalid field becomes the problem, and no error is thrown for
 * it.
 */
export function parseObject<T>(
  kind: string,
  raw: unknown,
  read: (object: Field, meta: ObjectMeta) => T,
): Parsed<T> {
  let object: string | null = null;
  try {
    const root = new Field(raw);
    const metadata = root.at('metadata');
    const name = readName(metadata);
    object = [kind, objectKey(name)].join(' ');
    return { ok: true, object, value: read(root, { ...name, ...readAttributes(metadata) }) };
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const { field, message } = error;
    const subject = object ?? `${kind} without a name`;
    return { ok: false, object, problem: { object: subject, ...(field && { field }), message } };
  }
}

function readName(metadata: Field): Pick<ObjectMeta, 'namespace' | 'name'> {
  return {
    namespace: metadata.at('namespace').optional((field) => field.label(), 'default'),
    name: metadata.at('name').subdomain(),
  };
}

function readAttributes(metadata: Field): Omit<ObjectMeta, 'namespace' | 'name'> {
  const labels = metadata.at('labels');
  return {
    createdMs: metadata.at('creationTimestamp').optional((field) => field.time(), null),
    excludedBy: EXCLUDING_LABELS.find((label) => !labels.at(label).isAbsent) ?? null,
  };
}
