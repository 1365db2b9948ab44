import { NONE } from '../model/compact.js';
import type { EndpointSlice, Service } from '../model/objects.js';
import type { Parsed } from '../model/parse.js';
import { parseEndpoints } from '../model/parse-endpoints.js';
import { parseService } from '../model/parse-service.js';
import { parseEndpointSlice, SERVICE_NAME_LABEL } from '../model/parse-slice.js';
import type { Problem } from '../model/problem.js';

/** One object of a document, converted for the model. */
export interface ManifestObject {
  /** Kind and `namespace/name`. */
  readonly id: string;
  readonly service: Service | null;
  readonly slices: readonly EndpointSlice[];
}

/** The result of reading one object of a document. */
export interface ReadItem {
  /** Position in a `List`, from 1. */
  readonly item?: number;
  readonly result:
    | { readonly kind: 'object'; readonly object: ManifestObject }
    /** `id` is null if the object has no name. */
    | { readonly kind: 'problem'; readonly id: string | null; readonly problem: Problem }
    | { readonly kind: 'ignored'; readonly what: string };
}

type Result = ReadItem['result'];

/** Readers by apiVersion and kind. Other kinds are ignored. */
const READERS = new Map<string, (raw: unknown) => Result>([
  ['v1 Service', (raw) => toResult(parseService(raw), (service) => ({ service, slices: NONE }))],
  ['discovery.k8s.io/v1 EndpointSlice', readSlice],
  ['v1 Endpoints', (raw) => toResult(parseEndpoints(raw), (slices) => ({ service: null, slices }))],
]);

const SLICE_WITHOUT_SERVICE = `discovery.k8s.io/v1 EndpointSlice without the label ${SERVICE_NAME_LABEL}`;

/** Item types of lists. In typed lists, the API server omits apiVersion and kind of the items. */
const LISTS = new Map<string, string | null>([
  ['v1 List', null],
  ['v1 ServiceList', 'v1 Service'],
  ['v1 EndpointsList', 'v1 Endpoints'],
  ['discovery.k8s.io/v1 EndpointSliceList', 'discovery.k8s.io/v1 EndpointSlice'],
]);

/** Reads the objects of a parsed document: one object, or the items of a list. An empty document has none. */
export function readObjects(value: unknown): ReadItem[] {
  if (value === null || value === undefined) return [];
  const type = typeOf(value);
  const itemType = type === null ? undefined : LISTS.get(type);
  if (itemType === undefined) return [{ result: readObject(value, type) }];
  const items = (value as { items?: unknown }).items ?? [];
  if (!Array.isArray(items)) return [{ result: malformed('items is not a list') }];
  return items.map((item: unknown, index) => ({
    item: index + 1,
    result: readObject(item, typeOf(item) ?? itemType),
  }));
}

function readObject(raw: unknown, type: string | null): Result {
  if (type === null) return malformed('not a Kubernetes object: apiVersion and kind are missing');
  const read = READERS.get(type);
  if (read !== undefined) return read(raw);
  const [version, kind] = type.split(' ');
  if (kind === 'EndpointSlice') {
    return malformed(`EndpointSlice of apiVersion ${version} is not supported; use discovery.k8s.io/v1`);
  }
  return { kind: 'ignored', what: type };
}

function typeOf(raw: unknown): string | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const { apiVersion, kind } = raw as { apiVersion?: unknown; kind?: unknown };
  return typeof apiVersion === 'string' && typeof kind === 'string' ? `${apiVersion} ${kind}` : null;
}

function readSlice(raw: unknown): Result {
  const parsed = parseEndpointSlice(raw);
  if (parsed.ok && parsed.value === null) return { kind: 'ignored', what: SLICE_WITHOUT_SERVICE };
  return toResult(parsed, (slice) => ({ service: null, slices: slice === null ? NONE : [slice] }));
}

function toResult<T>(parsed: Parsed<T>, convert: (value: T) => Omit<ManifestObject, 'id'>): Result {
  if (parsed.ok) return { kind: 'object', object: { id: parsed.object, ...convert(parsed.value) } };
  return { kind: 'problem', id: parsed.object, problem: parsed.problem };
}

function malformed(message: string): Result {
  return { kind: 'problem', id: null, problem: { object: 'document', message } };
}
