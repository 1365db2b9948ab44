import { isIPv6 } from 'node:net';
import { InvalidArgumentError } from 'commander';
import { parse } from 'yaml';
import { hostPort } from '../net/hostport.js';
import { CONNTRACK_FIELDS } from './conntrack-flags.js';
import {
  integerBetween,
  parseBindAddress,
  parseBindTarget,
  parseBoolean,
  parseCidrs,
  parseDuration,
  parseNodePortAddresses,
  parsePortRange,
} from './parse.js';
import type { RunFlags } from './run-flags.js';

const API_VERSION = 'kubeproxy.config.k8s.io/v1alpha1';
const KIND = 'KubeProxyConfiguration';

export interface ConfigFile {
  readonly flags: Partial<RunFlags>;
  /** Paths of fields that are set and have no effect in kube-portal. */
  readonly ignored: readonly string[];
}

type Reader = (text: string) => Partial<RunFlags>;

/** The fields that have an effect. Each is read like the flag with the same meaning. */
const READERS: Readonly<Record<string, Reader>> = {
  bindAddress: (text) => ({ bindAddress: parseBindAddress(text) }),
  'clientConnection.kubeconfig': (kubeconfig) => ({ kubeconfig }),
  clusterCIDR: (text) => ({ clusterCidr: parseCidrs(text) }),
  ...Object.fromEntries(Object.entries(CONNTRACK_FIELDS).map(([name, read]) => [`conntrack.${name}`, read])),
  healthzBindAddress: (text) => ({ healthzBindAddress: parseBindTarget(withPort(text, 10_256)) }),
  hostnameOverride: (hostnameOverride) => ({ hostnameOverride }),
  'iptables.masqueradeAll': readMasqueradeAll,
  'iptables.syncPeriod': (text) => ({ iptablesSyncPeriod: parseDuration(text) }),
  metricsBindAddress: (text) => ({ metricsBindAddress: parseBindTarget(withPort(text, 10_249)) }),
  'nftables.masqueradeAll': readMasqueradeAll,
  nodePortAddresses: (text) => ({ nodeportAddresses: parseNodePortAddresses(text) }),
  oomScoreAdj: (text) => ({ oomScoreAdj: integerBetween(-1000, 1000)(text) }),
  portRange: (text) => ({ proxyPortRange: parsePortRange(text) }),
  udpIdleTimeout: (text) => ({ udpTimeout: parseDuration(text) }),
};

/** Go's zero values. kubeadm writes every field, and a zero value there means "not set". */
const UNSET = new Set<unknown>([undefined, null, '', 0, '0', '0s', false]);
/** Fields that are pointers in Go: null means "not set", and 0 is a value. */
const NULLABLE = new Set(['conntrack.maxPerCore', 'conntrack.min', 'oomScoreAdj']);

/**
 * Reads a kube-proxy configuration file, YAML or JSON. A field that is not set keeps its default.
 * @throws Error that names the field. The caller adds the file.
 */
export function parseConfigFile(text: string): ConfigFile {
  const fields = leavesOf(parse(text));
  for (const [field, wanted] of [
    ['apiVersion', API_VERSION],
    ['kind', KIND],
  ] as const) {
    if (fields.get(field) !== wanted) throw new Error(`${field} is not ${wanted}`);
    fields.delete(field);
  }
  const set = [...fields].filter(([path, value]) => isSet(path, value));
  const known = set.filter(([path]) => Object.hasOwn(READERS, path));
  return {
    flags: Object.assign(
      defaultServerAddresses(fields.get('bindAddress')),
      ...known.map(([path, value]) => read(path, String(value))),
    ) as Partial<RunFlags>,
    ignored: set.map(([path]) => path).filter((path) => !Object.hasOwn(READERS, path)),
  };
}

function readMasqueradeAll(text: string): Partial<RunFlags> {
  return { masqueradeAll: parseBoolean(text) };
}

function isSet(path: string, value: unknown): boolean {
  if (NULLABLE.has(path)) return value !== null && value !== undefined;
  // kubeadm writes this default into every file. So it does not mean that the user wants iptables.
  return !UNSET.has(value) && !(path === 'mode' && value === 'iptables');
}

/**
 * The server addresses where the file gives none: the IP family of `bindAddress`, as in kube-proxy
 * (getDefaultAddresses).
 */
function defaultServerAddresses(bindAddress: unknown): Partial<RunFlags> {
  if (!isIPv6(String(bindAddress))) return {};
  return {
    healthzBindAddress: parseBindTarget('[::]:10256'),
    metricsBindAddress: parseBindTarget('[::1]:10249'),
  };
}

/** Values by path. A list is one value, with commas between its items. */
function leavesOf(value: unknown, path = ''): Map<string, unknown> {
  if (Array.isArray(value)) return new Map([[path, value.join()]]);
  if (typeof value !== 'object' || value === null) return new Map([[path, value]]);
  return new Map(
    Object.entries(value).flatMap(([name, member]) => [
      ...leavesOf(member, path === '' ? name : `${path}.${name}`),
    ]),
  );
}

function read(path: string, text: string): Partial<RunFlags> {
  try {
    return READERS[path]?.(text) ?? {};
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new Error(`${path}: '${text}' is not understood. ${error.message}`);
  }
}

/** As in kube-proxy, an address without a port gets the default port. */
function withPort(text: string, port: number): string {
  if (/^\[.*\]$/.test(text) || !text.includes(':')) return `${text}:${port}`;
  return /^[^[]*:[^:]*:/.test(text) ? hostPort(text, port) : text;
}
