import type { Protocol } from '../../lib/net/protocol.js';
import type { Testbed } from '../testbed.js';
import type { ApiServer } from './api-server.js';

/** A contender that serves on a testbed. */
export interface Running {
  /** The address to which clients connect. */
  readonly address: string;
  /** The main process of the proxy. Null: the kernel does everything. */
  readonly pid: number | null;
  /** The API server that it follows. Absent: it follows none. */
  readonly api?: ApiServer;
  stop(): Promise<void>;
}

/**
 * The Services that a proxy for Services serves. Other contenders always serve the ports of the rows only.
 */
export interface ServiceSet {
  /** Number of service ports. The ports of the rows are among them. */
  readonly ports: number;
  /** Where kube-portal gets the Services from. Default: `manifest`. */
  readonly source?: 'manifest' | 'api';
}

/** `path`: no program relays. `peer`: another proxy. `ancestor`: kube-proxy. `own`: kube-portal. */
export type Role = 'path' | 'peer' | 'ancestor' | 'own';

/** Something that brings the traffic of a VIP to the backend. */
export interface Contender {
  readonly id: string;
  readonly title: string;
  readonly protocols: readonly Protocol[];
  readonly role: Role;
  /** Number of service ports in rows that measure many ports. Absent: it takes no part in these rows. */
  readonly manyPorts?: number;
  /** Most TCP connections that it can hold with 20,000 descriptors. Absent: more than any row opens. */
  readonly maxConnections?: number;
  /** A program that it needs, and the Debian packages that contain the program. */
  readonly needs?: { readonly program: string; readonly packages: string };
  /** Resolves once it serves. */
  start(testbed: Testbed, services: ServiceSet): Promise<Running>;
}

export const BOTH: readonly Protocol[] = ['TCP', 'UDP'];
