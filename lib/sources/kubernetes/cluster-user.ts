import { hostPort } from '../../net/hostport.js';
import { type ClusterUser, KubeconfigError, readKubeconfig } from './kubeconfig.js';
import { withCheckedServer } from './server-url.js';

export interface ClusterUserOptions {
  /** Path of a kubeconfig. Without it and without `master`, the service account of the pod is used. */
  readonly kubeconfig?: string;
  /** URL of the API server. It replaces the URL in the kubeconfig. */
  readonly master?: string;
  /** Default: the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The kubelet mounts the service account of a pod here. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The user of a server that is given by --master alone. */
const WITHOUT_KUBECONFIG: ClusterUser = {
  cluster: { name: 'master', server: '', skipTLSVerify: false },
  user: { name: '' },
};

/**
 * Finds the API server and the credentials in the same places as client-go's BuildConfigFromFlags.
 *
 * @throws KubeconfigError that names the file and the field, or the flag
 */
export function loadClusterUser({ kubeconfig, master, env = process.env }: ClusterUserOptions): ClusterUser {
  const fromFile = kubeconfig === undefined ? null : readKubeconfig(kubeconfig);
  if (master !== undefined) {
    const { cluster, user } = fromFile ?? WITHOUT_KUBECONFIG;
    return withCheckedServer({ cluster: { ...cluster, server: master }, user }, '--master');
  }
  if (fromFile === null) return withCheckedServer(serviceAccount(env), 'KUBERNETES_SERVICE_HOST');
  const field = `kubeconfig ${kubeconfig}: clusters: ${fromFile.cluster.name}: server`;
  return withCheckedServer(fromFile, field);
}

function serviceAccount({
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port,
}: NonNullable<ClusterUserOptions['env']>): ClusterUser {
  if (host === undefined || port === undefined) {
    throw new KubeconfigError(
      'not in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); give --kubeconfig',
    );
  }
  const server = `https://${hostPort(host, port)}`;
  return {
    cluster: { name: 'in-cluster', server, caFile: `${SERVICE_ACCOUNT_DIR}/ca.crt`, skipTLSVerify: false },
    user: { name: 'service-account', tokenFile: `${SERVICE_ACCOUNT_DIR}/token` },
  };
}
