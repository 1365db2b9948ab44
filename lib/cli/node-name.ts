import { hostname } from 'node:os';
import type { RunFlags } from './run-flags.js';

/** The name of this node in the cluster. In lower case, because kube-proxy compares node names so. */
export function nodeNameOf({ hostnameOverride }: Pick<RunFlags, 'hostnameOverride'>): string {
  return (hostnameOverride ?? hostname()).trim().toLowerCase();
}
