import { Option } from 'commander';
import { collectPaths, parseCidrs } from './parse.js';

/** Where the Services come from, and what this node is in their cluster. */
export interface SourceFlags {
  readonly manifest: readonly string[];
  readonly kubeconfig?: string;
  readonly master?: string;
  readonly hostnameOverride?: string;
  readonly clusterCidr: readonly string[];
}

export function sourceFlags(): Option[] {
  return [
    new Option(
      '--manifest <path>',
      'file or directory with Services, EndpointSlices and Endpoints, in YAML or JSON. ' +
        'Files are watched for changes. - (standard input) and pipes are read once. Can be given several times',
    )
      .argParser(collectPaths)
      .default([], 'none'),
    new Option(
      '--kubeconfig <path>',
      'file with the address and credentials of the API server to follow. Not needed in a pod: ' +
        "the pod's service account is used",
    ).conflicts('manifest'),
    new Option(
      '--master <url>',
      'address of the API server. It replaces the address in the kubeconfig',
    ).conflicts('manifest'),
    new Option(
      '--hostname-override <name>',
      'name of this node in the cluster, where its host name is another',
    ),
    new Option(
      '--cluster-cidr <cidrs>',
      "addresses of the cluster's pods. When a pod of this node uses an external address of a Service, " +
        'it gets what the ClusterIP gives',
    )
      .argParser(parseCidrs)
      .default([], 'none'),
  ];
}
