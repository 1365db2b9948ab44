import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Host } from '../../test/lab/host.js';
import { type KubernetesObject, type ServiceOptions, serviceWithPods } from '../../test/lab/manifest.js';
import { PATHS } from '../../test/sources/kubernetes/fake-apiserver.js';
import { crowd } from '../crowd.js';
import type { Stage } from '../stage.js';

const PROGRAM = fileURLToPath(new URL('api-server-program.js', import.meta.url));

const CHANGING = 'changing.json';

/** What the proxy calls its node. */
export const NODE_NAME = 'node';

/** An API server on the node with what the proxy of a cluster reads: Services, their endpoints of old and new kind, a Node. */
export class ApiServer {
  private constructor(
    /** For a proxy on the same node. */
    readonly kubeconfig: string,
    /** A directory for versions of {@link changing}, on the same file system. */
    readonly directory: string,
  ) {}

  /** Where a file with more objects, as {@link writeObjects} writes them, takes the place of the one before by a rename. */
  get changing(): string {
    return join(this.directory, CHANGING);
  }

  /** @param ports how many service ports there are */
  static async start({ node, backend }: Stage, ports: number): Promise<ApiServer> {
    const directory = await mkdtemp(join(tmpdir(), 'kube-portal-bench-'));
    const file = join(directory, 'objects.json');
    writeFileSync(
      file,
      JSON.stringify({ ...collections(crowd(ports), backend), [PATHS.nodes]: [nodeObject(node)] }),
    );
    const program = node.spawn(process.execPath, [PROGRAM, file, join(directory, CHANGING)]);
    const [server] = await program.waitForOutput(/^http:\S+$/m);
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(kubeconfig, stringify(configFor(server)));
    return new ApiServer(kubeconfig, directory);
  }

  /** Its program ends with the stage. */
  async dispose(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

/** Writes Services with all that belongs to them, for the API server to read. */
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

/** Endpoints as they were before there were slices. */
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
