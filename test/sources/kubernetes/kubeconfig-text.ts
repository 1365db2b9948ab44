import { stringify } from 'yaml';

/** What the kubeconfig of a test has in its cluster, in its user and beside them. */
export interface KubeconfigParts {
  readonly cluster?: object;
  readonly user?: object;
  readonly more?: object;
}

/** A kubeconfig with one context, `here`, of the cluster `c` and the user `u`. */
export function kubeconfigText({ cluster = {}, user = {}, more = {} }: KubeconfigParts): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
    ...more,
  });
}
