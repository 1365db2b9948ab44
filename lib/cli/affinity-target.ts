import type { ServicePort } from '../affinity/asking/identify/kinds.js';
import type { Affinity } from '../affinity/result.js';
import { type EndpointSlice, isProxied, type Service } from '../model/objects.js';
import type { Parsed } from '../model/parse.js';
import { parseService } from '../model/parse-service.js';
import { parseEndpointSlice } from '../model/parse-slice.js';
import { canonicalAddress, type Family, familyOf } from '../net/address.js';
import { UsageError } from './usage-error.js';

/** The Service that is tested, as far as it is known. */
export interface Target {
  readonly address: string;
  /** `namespace/name`. Null if only the address is known. */
  readonly service: string | null;
  /** Its TCP and UDP ports. */
  readonly ports: readonly ServicePort[];
  readonly affinity: Affinity | null;
  /** How many endpoints are ready. Null if that is not known. */
  readonly endpoints: number | null;
  /** Names of pods by their addresses. */
  readonly endpointNames: ReadonlyMap<string, string>;
}

/**
 * The Service of an address, or of a name that the API server is asked for.
 * @param family IP family of the clients; null: the Service's first one
 * @throws UsageError if it has no address of the family; Error if the API server has no answer
 */
export async function findTarget(
  text: string,
  family: Family | null,
  kubeconfig: string | undefined,
): Promise<Target> {
  const address = canonicalAddress(text);
  if (address !== null) {
    if (family !== null && family !== familyOf(address))
      throw new UsageError(`--clients: ${family} clients cannot ask the address ${address}`);
    return { address, service: null, ports: [], affinity: null, endpoints: null, endpointNames: new Map() };
  }
  const [name = '', namespace = 'default'] = text.split('/').reverse();
  if (!/^[a-z0-9-]+(?:\/[a-z0-9-]+)?$/.test(text))
    throw new UsageError(`${text}: give an address, such as 10.96.0.10, or a Service as NAMESPACE/NAME`);
  return targetOf(...(await readObjects(namespace, name, kubeconfig)), family);
}

/** Only who names a Service loads the code for the API server. */
async function readObjects(
  namespace: string,
  name: string,
  kubeconfig: string | undefined,
): Promise<[Service, readonly EndpointSlice[]]> {
  const [{ ApiClient }, { loadClusterUser }] = await Promise.all([
    import('../sources/kubernetes/client.js'),
    import('../sources/kubernetes/cluster-user.js'),
  ]);
  const client = new ApiClient(loadClusterUser(kubeconfig === undefined ? {} : { kubeconfig }));
  const { signal } = new AbortController();
  const core = `/api/v1/namespaces/${namespace}/services/${name}`;
  const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
  const selector = { labelSelector: `kubernetes.io/service-name=${name}` };
  try {
    const service = checked(parseService(await client.get(core, {}, signal)));
    const list = (await client.get(slices, selector, signal)) as { readonly items?: readonly unknown[] };
    return [service, (list.items ?? []).flatMap((item) => checked(parseEndpointSlice(item)) ?? [])];
  } catch (error) {
    throw new Error(`Service ${namespace}/${name}: ${client.redact((error as Error).message)}`);
  } finally {
    await client.close();
  }
}

function checked<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  const { field, message } = parsed.problem;
  throw new Error(field === undefined ? message : `${field}: ${message}`);
}

function targetOf(service: Service, slices: readonly EndpointSlice[], family: Family | null): Target {
  const { namespace, name, clusterIPs, ports, policy } = service;
  const key = `${namespace}/${name}`;
  const address = clusterIPs.find((ip) => family === null || familyOf(ip) === family);
  if (address === undefined)
    throw new UsageError(`Service ${key} has no ClusterIP${family === null ? '' : ` of ${family}`}`);
  const endpoints = slices
    .filter(({ addressType }) => addressType === familyOf(address))
    .flatMap((slice) => slice.endpoints)
    .filter(({ ready }) => ready);
  return {
    address,
    service: key,
    ports: ports.filter(isProxied).map(({ port, protocol }) => ({ port, protocol })),
    affinity: policy.affinity === null ? 'None' : 'ClientIP',
    endpoints: new Set(endpoints.map((endpoint) => endpoint.address)).size,
    endpointNames: new Map(
      endpoints.flatMap(({ address, target }) =>
        target === null ? [] : [[address, target.replace(/^.*\//, '')] as const],
      ),
    ),
  };
}
