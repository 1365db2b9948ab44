import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { parseService } from '../../lib/model/parse-service.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { endpointSlice } from '../lab/manifest.js';

const FOLDER = 'examples/ros2';
/** The names of all examples. */
export const EXAMPLES = readdirSync(FOLDER).map((file) => file.replace('.yaml', ''));

export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly clusterIP?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly template?: {
      readonly spec: { readonly containers: readonly { readonly env?: readonly EnvironmentEntry[] }[] };
    };
  };
  readonly data?: Readonly<Record<string, string>>;
}

interface EnvironmentEntry {
  readonly name: string;
  readonly value?: string;
}

export function textOf(example: string): string {
  return readFileSync(join(FOLDER, `${example}.yaml`), 'utf8');
}

export function objectsIn(example: string): KubernetesObject[] {
  return parseAllDocuments(textOf(example)).map((document) => document.toJS() as KubernetesObject);
}

/** The text of a file in a ConfigMap of an example. */
export function configIn(example: string, map: 'replica' | 'robot', file: string): string {
  const named = objectsIn(example).find(({ metadata }) => metadata.name.endsWith(`-${map}`));
  return named?.data?.[file] ?? '';
}

/** What kube-portal serves of all examples. */
export const SERVICES = EXAMPLES.flatMap(objectsIn).filter(
  ({ kind, spec }) => kind === 'Service' && spec?.clusterIP !== 'None',
);

/** The Services of all examples, with the same three pods behind each. */
export async function serveAll(t: Test): Promise<{ lab: Lab; pods: readonly Pod[]; kubePortal: KubePortal }> {
  const lab = await Lab.forTest(t, { pods: ['robot', 'a', 'b', 'c'] });
  const pods = ['a', 'b', 'c'].map((name) => lab.pod(name));
  const slices = SERVICES.map((service) => {
    const parsed = parseService(service);
    const ports = parsed.ok ? parsed.value.ports : [];
    return endpointSlice(
      { name: service.metadata.name, ports: ports.map(portOf) },
      'IPv4',
      podsOf(service, pods),
    );
  });
  const flags = ['--manifest', FOLDER, '--workers', '2'];
  return { lab, pods, kubePortal: await KubePortal.forTest(t, lab.node, { objects: slices, flags }) };
}

/** Some Services are for one pod of a StatefulSet. */
function podsOf({ spec }: KubernetesObject, pods: readonly Pod[]): readonly Pod[] {
  const one = /-(\d)$/.exec(spec?.selector?.['statefulset.kubernetes.io/pod-name'] ?? '');
  return one === null ? pods : pods.slice(Number(one[1]), Number(one[1]) + 1);
}

function portOf({ name, protocol, port }: { name: string; protocol: string; port: number }) {
  return { name, protocol: protocol === 'UDP' ? ('UDP' as const) : ('TCP' as const), port };
}
