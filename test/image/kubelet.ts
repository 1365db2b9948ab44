/** A kubelet's part: a pod as the API server has it becomes a container. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** As much of a pod's spec as deploy/ says. What is not here is refused. */
export interface PodSpec {
  readonly serviceAccountName: string;
  readonly hostNetwork: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly seccompProfile: { readonly type: 'RuntimeDefault' } };
  readonly containers: readonly [ContainerSpec];
  readonly volumes: readonly Volume[];
}

export interface ContainerSpec {
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly securityContext: {
    readonly readOnlyRootFilesystem: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly runAsUser: number;
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] };
  };
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number };
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly hostPath?: { readonly path: string; readonly type: 'DirectoryOrCreate' | 'FileOrCreate' };
}

/** What a kubelet finds out about the pod beside its spec. */
export interface PodContext {
  readonly nodeName: string;
  /** Stands for the node's root directory. */
  readonly root: string;
  /** Files of ConfigMaps and of the service account, by the name of the ConfigMap, or `serviceaccount`. */
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What a kubelet asks the container runtime for, as arguments of `docker run`. */
export function dockerArguments(spec: PodSpec, image: string, context: PodContext): string[] {
  const [container] = spec.containers;
  const env = environment(container, context);
  return [
    ...(spec.hostNetwork ? ['--network=host'] : []),
    ...privileges(spec, container),
    ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`),
    ...mounts(spec, container, context),
    image,
    ...container.args.map((arg) => arg.replace(/\$\((\w+)\)/g, (_, name: string) => env[name]!)),
  ];
}

/** Docker's own seccomp profile is the runtime's default, unless something else is asked for. */
function privileges({ securityContext }: PodSpec, container: ContainerSpec): string[] {
  const { type } = securityContext.seccompProfile;
  if (type !== 'RuntimeDefault') throw new Error(`the seccomp profile ${type} is not provided for`);
  const { readOnlyRootFilesystem, allowPrivilegeEscalation, runAsUser, capabilities } =
    container.securityContext;
  return [
    `--user=${runAsUser}`,
    ...(readOnlyRootFilesystem ? ['--read-only'] : []),
    ...(allowPrivilegeEscalation ? [] : ['--security-opt=no-new-privileges']),
    ...capabilities.drop.map((name) => `--cap-drop=${name}`),
    ...capabilities.add.map((name) => `--cap-add=${name}`),
  ];
}

function environment({ env }: ContainerSpec, { nodeName }: PodContext): Record<string, string> {
  const fields: Record<string, string> = { 'spec.nodeName': nodeName };
  return Object.fromEntries(env.map(({ name, valueFrom }) => [name, fields[valueFrom.fieldRef.fieldPath]!]));
}

function mounts({ volumes }: PodSpec, { volumeMounts }: ContainerSpec, context: PodContext): string[] {
  const mount = (source: string, target: string, readOnly: boolean) =>
    `--mount=type=bind,source=${source},target=${target}${readOnly ? ',readonly' : ''}`;
  return [
    mount(writeFiles('serviceaccount', context), SERVICE_ACCOUNT_DIR, true),
    ...volumeMounts.map(({ name, mountPath, readOnly = false }) =>
      mount(sourceOf(volumes.find((volume) => volume.name === name)!, context), mountPath, readOnly),
    ),
  ];
}

function sourceOf({ name, configMap, hostPath }: Volume, context: PodContext): string {
  if (configMap) return writeFiles(configMap.name, context);
  if (!hostPath) throw new Error(`the volume ${name} is of a kind that is not provided for`);
  const path = join(context.root, hostPath.path);
  mkdirSync(hostPath.type === 'FileOrCreate' ? join(path, '..') : path, { recursive: true });
  if (hostPath.type === 'FileOrCreate') writeFileSync(path, '', { flag: 'a' });
  return path;
}

function writeFiles(name: string, { root, files }: PodContext): string {
  const directory = join(root, 'var/lib/kubelet', name);
  mkdirSync(directory, { recursive: true });
  for (const [file, text] of Object.entries(files[name]!)) writeFileSync(join(directory, file), text);
  return directory;
}
