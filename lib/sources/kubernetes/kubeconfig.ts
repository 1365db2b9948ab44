import { dirname, resolve } from 'node:path';
// Only this file of the client. Its index loads the whole generated API, and an undici that Node 20 cannot
// run.
import {
  type Cluster,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { LineCounter, parseDocument } from 'yaml';
import { readSmallFileSync } from '../../sys/readfile.js';
import { type PluginCommand, type RawExec, readPluginCommand } from './plugin-command.js';

/** A cluster and a user of it: the API server, and how this program authenticates. */
export interface ClusterUser {
  readonly cluster: Cluster;
  readonly user: KubeUser;
}

/** A kubeconfig's user. client-node's own type lacks the token file and does not parse `exec`. */
export interface KubeUser extends User {
  readonly tokenFile?: string;
  readonly plugin?: PluginCommand;
}

/** The kubeconfig, --master or the service account cannot be used. The message says what to do. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
}

interface RawKubeconfig {
  readonly 'current-context'?: string;
  readonly clusters?: readonly unknown[];
  readonly contexts?: readonly unknown[];
  readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: string } }[];
}

/**
 * The cluster and the user of the current context. File names in the result are absolute. The server's URL is
 * not checked.
 *
 * @throws KubeconfigError that names the file and the field
 */
export function readKubeconfig(path: string): ClusterUser {
  const fail = (message: string): never => {
    throw new KubeconfigError(`kubeconfig ${path}: ${message}`);
  };
  try {
    const file = (parseYaml(readSmallFileSync(path)) ?? {}) as RawKubeconfig;
    return withAbsolutePaths(dirname(resolve(path)), currentOf(file, fail));
  } catch (error) {
    if (error instanceof KubeconfigError) throw error;
    return fail((error as Error).message);
  }
}

function currentOf(file: RawKubeconfig, fail: (message: string) => never): ClusterUser {
  const contextName = file['current-context'] || fail('current-context: missing');
  const context =
    newContexts(file.contexts).find(({ name }) => name === contextName) ??
    fail(`current-context: there is no context ${contextName}`);
  const cluster =
    newClusters(file.clusters).find(({ name }) => name === context.cluster) ??
    fail(`contexts: ${contextName}: there is no cluster ${context.cluster}`);
  if (cluster.proxyUrl) fail(`clusters: ${cluster.name}: proxy-url is not supported`);
  const user = newUsers(file.users).find(({ name }) => name === context.user) ?? { name: '' };
  if (user.authProvider) fail(`users: ${user.name}: auth-provider is not supported; use exec`);
  const tokenFile = file.users?.find(({ name }) => name === context.user)?.user?.tokenFile;
  const failExec = (message: string) => fail(`users: ${user.name}: exec: ${message}`);
  const plugin = user.exec ? readPluginCommand(user.exec as RawExec, failExec) : null;
  return { cluster, user: { ...user, ...(tokenFile && { tokenFile }), ...(plugin && { plugin }) } };
}

/** @throws Error with the position of the mistake, and without the text there: it may be a token or a key */
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
    throw new Error('not readable as YAML: an alias has no anchor; a text that begins with * needs quotes');
  }
}

/** Paths in a kubeconfig are relative to the directory of the kubeconfig. */
function withAbsolutePaths(directory: string, { cluster, user }: ClusterUser): ClusterUser {
  const absolute = <K extends string>(key: K, path: string | null | undefined) =>
    path ? ({ [key]: resolve(directory, path) } as Record<K, string>) : {};
  return {
    cluster: { ...cluster, ...absolute('caFile', cluster.caFile) },
    user: {
      ...user,
      ...absolute('certFile', user.certFile),
      ...absolute('keyFile', user.keyFile),
      ...absolute('tokenFile', user.tokenFile),
    },
  };
}
