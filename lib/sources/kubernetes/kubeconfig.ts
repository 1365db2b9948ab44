import { dirname, resolve } from 'node:path';
// Parts of the client, not its index: that would load the whole generated API,
// and an undici that Node 20 cannot run.
import {
  type Cluster,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { LineCounter, parseDocument } from 'yaml';
import { hostPort } from '../../net/hostport.js';
import { readSmallFileSync } from '../../sys/readfile.js';
import type { PluginCommand } from './plugin-run.js';

/** Where the API server is and who we are to it, as files say it at one moment. */
export interface ClusterUser {
  readonly cluster: Cluster;
  readonly user: KubeUser;
}

/**
 * A kubeconfig's user, with the file that its token is read from and the plug-in that knows its credentials.
 */
export interface KubeUser extends User {
  readonly tokenFile?: string;
  readonly plugin?: PluginCommand;
}

/** The kubeconfig, or what stands in its place, cannot be used; the message says what to do. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
}

export interface KubeconfigOptions {
  /** Path of a kubeconfig. Without it and without `master` the service account of the pod is used. */
  readonly kubeconfig?: string;
  /** URL of the API server; wins over the kubeconfig's. */
  readonly master?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where the kubelet mounts the service account, for tests. */
  readonly serviceAccountDir?: string;
}

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Finds the API server as client-go's BuildConfigFromFlags does.
 *
 * @throws KubeconfigError that names the file and the field
 */
export function loadClusterUser(options: KubeconfigOptions): ClusterUser {
  return withoutUserInfo(findClusterUser(options));
}

function findClusterUser(options: KubeconfigOptions): ClusterUser {
  const { kubeconfig, master } = options;
  if (kubeconfig !== undefined) {
    const { cluster, user } = readKubeconfig(kubeconfig);
    return { cluster: master === undefined ? cluster : { ...cluster, server: serverOf(master) }, user };
  }
  if (master !== undefined) {
    return {
      cluster: { name: 'master', server: serverOf(master), skipTLSVerify: false },
      user: { name: '' },
    };
  }
  return inCluster(options);
}

/** Whether this process runs in a pod that may talk to its API server. */
export function hasServiceAccount(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return env.KUBERNETES_SERVICE_HOST !== undefined && env.KUBERNETES_SERVICE_PORT !== undefined;
}

function inCluster({
  env = process.env,
  serviceAccountDir = SERVICE_ACCOUNT_DIR,
}: KubeconfigOptions): ClusterUser {
  if (!hasServiceAccount(env)) {
    throw new KubeconfigError(
      'not in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); give --kubeconfig',
    );
  }
  const host = env.KUBERNETES_SERVICE_HOST as string;
  const server = `https://${hostPort(host, env.KUBERNETES_SERVICE_PORT as string)}`;
  return {
    cluster: { name: 'in-cluster', server, caFile: `${serviceAccountDir}/ca.crt`, skipTLSVerify: false },
    user: { name: 'service-account', tokenFile: `${serviceAccountDir}/token` },
  };
}

function readKubeconfig(path: string): ClusterUser {
  const fail = (message: string): never => {
    throw new KubeconfigError(`kubeconfig ${path}: ${message}`);
  };
  try {
    const file = (parseYaml(readSmallFileSync(path)) ?? {}) as RawKubeconfig;
    const contextName = file['current-context'] || fail('current-context: missing');
    const context =
      newContexts(file.contexts).find(({ name }) => name === contextName) ??
      fail(`current-context: there is no context ${contextName}`);
    const cluster =
      newClusters(file.clusters).find(({ name }) => name === context.cluster) ??
      fail(`contexts: ${contextName}: there is no cluster ${context.cluster}`);
    const user = newUsers(file.users).find(({ name }) => name === context.user) ?? { name: '' };
    const tokenFile = file.users?.find(({ name }) => name === context.user)?.user?.tokenFile;
    if (user.authProvider) fail(`users: ${user.name}: auth-provider is not supported; use exec`);
    if (cluster.proxyUrl) fail(`clusters: ${cluster.name}: proxy-url is not supported`);
    const plugin = user.exec
      ? pluginOf(user.exec, (message) => fail(`users: ${user.name}: exec: ${message}`))
      : null;
    return withAbsolutePaths(dirname(resolve(path)), cluster, {
      ...user,
      ...(tokenFile && { tokenFile }),
      ...(plugin && { plugin }),
    });
  } catch (error) {
    if (error instanceof KubeconfigError) throw error;
    return fail((error as Error).message);
  }
}

/** Tells where a mistake is, and nothing of what stands there: it may be a token or a key. @throws Error */
function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new Error(`not readable as YAML: ${error.code} in line ${line}, column ${col}`);
  }
  try {
    return document.toJS();
  } catch {
    throw new Error('not readable as YAML: an alias leads nowhere; a text that begins with * needs quotes');
  }
}

/** What a plug-in is run with; its values may be secrets, so that no message shows them. */
function pluginOf(exec: RawExec, fail: (message: string) => never): PluginCommand {
  const { command, args, env } = exec;
  if (!isArgument(command) || command === '') return fail('command: missing, or no text');
  const list = args ?? [];
  if (!Array.isArray(list) || !list.every(isArgument)) return fail('args: not a list of texts');
  const variables = env ?? [];
  if (!Array.isArray(variables) || !variables.every(isVariable))
    return fail('env: not a list of name and value');
  return { command, args: list, env: Object.fromEntries(variables.map(({ name, value }) => [name, value])) };
}

interface RawExec {
  readonly command?: unknown;
  readonly args?: unknown;
  readonly env?: unknown;
}

/** execve(2) takes texts that end with a null byte. */
function isArgument(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0');
}

function isVariable(value: unknown): value is { readonly name: string; readonly value: string } {
  const { name, value: text } = (value ?? {}) as { name?: unknown; value?: unknown };
  return isArgument(name) && isArgument(text);
}

interface RawKubeconfig {
  readonly 'current-context'?: string;
  readonly clusters?: readonly unknown[];
  readonly contexts?: readonly unknown[];
  readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: string } }[];
}

/** Paths in a kubeconfig are relative to its own directory. */
function withAbsolutePaths(directory: string, cluster: Cluster, user: KubeUser): ClusterUser {
  const absolute = <K extends string>(key: K, path: string | null | undefined) =>
    path ? ({ [key]: resolve(directory, path) } as Record<K, string>) : {};
  return {
    cluster: { ...cluster, server: serverOf(cluster.server), ...absolute('caFile', cluster.caFile) },
    user: {
      ...user,
      ...absolute('certFile', user.certFile),
      ...absolute('keyFile', user.keyFile),
      ...absolute('tokenFile', user.tokenFile),
    },
  };
}

/** As client-go, takes an address without a scheme for one of plain HTTP. */
function serverOf(url: string): string {
  const text = /^https?:\/\//.test(url) ? url : `http://${url}`;
  if (URL.canParse(text)) return text.replace(/\/+$/, '');
  const shown = url.replace(/^(https?:\/\/)?.*@/s, '$1');
  throw new KubeconfigError(`${shown} is not the URL of an API server, such as https://192.0.2.1:6443`);
}

/**
 * A user and password in the server's URL are for basic authentication where nothing else says who we are, as
 * in Go's net/http, and so in client-go. They do not stay in the URL, which is told to people.
 */
function withoutUserInfo({ cluster, user }: ClusterUser): ClusterUser {
  const url = new URL(cluster.server);
  if (url.username === '' && url.password === '') return { cluster, user };
  const login = { username: decoded(url.username), password: decoded(url.password) };
  url.username = '';
  url.password = '';
  return {
    cluster: { ...cluster, server: url.href.replace(/\/+$/, '') },
    user: user.username ? user : { ...user, ...login },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new KubeconfigError(
      'server: the user or the password in its URL has a % that is not followed by two hexadecimal digits; write %25',
    );
  }
}
