import { type ClusterUser, KubeconfigError } from './kubeconfig.js';

/**
 * Checks the server's URL and takes the user and the password out of it, because messages show the URL. If
 * the kubeconfig's user has no user name, both are used for basic authentication, as in Go's net/http and so
 * in client-go.
 *
 * @param field flag or field that the URL is from, for messages
 * @throws KubeconfigError that names the field
 */
export function withCheckedServer({ cluster, user }: ClusterUser, field: string): ClusterUser {
  const server = serverUrl(cluster.server, field);
  const url = new URL(server);
  if (url.username === '' && url.password === '') return { cluster: { ...cluster, server }, user };
  const login = { username: decoded(url.username, field), password: decoded(url.password, field) };
  url.username = '';
  url.password = '';
  return {
    cluster: { ...cluster, server: url.href.replace(/\/+$/, '') },
    user: user.username ? user : { ...user, ...login },
  };
}

/** An address without a scheme is plain HTTP, as in client-go. */
function serverUrl(address: string, field: string): string {
  const url = /^https?:\/\//.test(address) ? address : `http://${address}`;
  if (URL.canParse(url)) return url.replace(/\/+$/, '');
  const shown = address.replace(/^(https?:\/\/)?.*@/s, '$1');
  throw new KubeconfigError(
    `${field}: ${shown} is not the URL of an API server; write for example https://192.0.2.1:6443`,
  );
}

function decoded(text: string, field: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new KubeconfigError(
      `${field}: in the user or the password, a % is not followed by two hexadecimal digits; write %25`,
    );
  }
}
