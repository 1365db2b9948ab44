import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Host } from '../../test/lab/host.js';
import { type KubernetesObject, type ServiceOptions, serviceWithPods } from '../../test/lab/manifest.js';
import { PATHS } from '../../test/sources/kubernetes/fake-apiserver.js';
import { manyServices } from '../manyservices.js';
import type { Testbed } from '../testbed.js';

const PROGRAM = fileURLToPath(new URL('api-server-program.js', import.meta.url));

const CHANGING = 'changing.json';
const SERVICE_CIDRS = '/apis/networking.k8s.io/v1/servicecidrs';

/** The addresses of pods. */
export const CLUSTER_CIDR = '10.244.0.0/16';

/** The name of the node in the cluster. */
export const NODE_NAME = 'node';

/** An API server on the node. It has what proxies read: Services, their endpoints, a Node and more. */
export class ApiServer {
  private constructor(
    /** Path of a kubeconfig for a proxy on this node. */
    readonly kubeconfig: string,
    /** A directory on the file system of {@link changing}, for files that replace it. */
    readonly directory: string,
  ) {}

  /**
   * Path of the file with objects that change. To change them, a file of {@link writeObjects} is renamed to
   * this path.
   */
  get changing(): string {
    return join(this.directory, CHANGING);
  }

  /** @param ports number of service ports */
  static async start({ node, backend }: Testbed, ports: number): Promise<ApiServer> {
    const directory = await mkdtemp(join(tmpdir(), 'kube-portal-bench-'));
    const file = join(directory, 'objects.json');
    writeFileSync(
      file,
      JSON.stringify({
        ...collections(manyServices(ports), backend),
        [PATHS.nodes]: [nodeObject(node)],
        [SERVICE_CIDRS]: [serviceCidr],
      }),
    );
    const program = node.spawn(process.execPath, [PROGRAM, file, join(directory, CHANGING)]);
    const [server] = await program.waitForOutput(/^http:\S+$/m);
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, stringify(configFor(server)));
    return new ApiServer(kubeconfig, directory);
  }

  /** Removes the files. The program ends when the testbed is closed. */
  async dispose(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

/** Writes Services and their endpoints into a file, as the API server reads them. */
export function writeObjects(file: string, services: readonly ServiceOptions[], backend: Host): void {
  writeFileSync(file, JSON.stringify(collections(services, backend)));
}

function collections(services: readonly ServiceOptions[], backend: Host): Record<string, object[]> {
  const objects = services.flatMap((options) => serviceWithPods(options, [backend]));
  const ofKind = (wanted: string) => objects.filter(({ kind }) => kind === wanted);
  return {
    [PATHS.services]: ofKind('Service'),
    [PATHS.slices]: ofKind('EndpointSlice'),
    [PATHS.endpoints]: services.map((options) => endpoints(options, backend)),
  };
}

/** The Endpoints object, which kube-proxy 1.20 reads. */
function endpoints({ name, ports }: ServiceOptions, { address4 }: Host): KubernetesObject & object {
  const subset = {
    addresses: [{ ip: address4 }],
    ports: ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
  };
  const metadata = { namespace: 'default', name };
  return { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [subset] } as KubernetesObject;
}

function nodeObject({ address4 }: Host): object {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE_NAME },
    status: { addresses: [{ type: 'InternalIP', address: address4 }] },
  };
}

const serviceCidr = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name: 'kubernetes' },
  spec: { cidrs: ['10.96.0.0/12'] },
};

function configFor(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server } }],
    users: [{ name: 'bench', user: {} }],
  };
}
