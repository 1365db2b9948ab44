import type { Logger } from 'pino';
import type { Source } from '../sources/source.js';
import type { RunFlags } from './run-flags.js';

/** The source that the flags name. Only the code of this source is loaded, to save memory. */
export async function createSource(flags: RunFlags, nodeName: string, log: Logger): Promise<Source> {
  if (flags.manifest.length > 0) {
    const { ManifestSource } = await import('../sources/manifest.js');
    return new ManifestSource(flags.manifest, log);
  }
  const [{ KubernetesSource }, { loadClusterUser }] = await Promise.all([
    import('../sources/kubernetes/kubernetes.js'),
    import('../sources/kubernetes/cluster-user.js'),
  ]);
  return new KubernetesSource({ clusterUser: loadClusterUser(flags), nodeName, log });
}
