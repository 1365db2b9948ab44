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
  /** When the proxy was started (performance.now()). Absent: before anything else was done. */
  readonly startedAt?: number;
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

/**
 * `path`: no program relays. `peer`: another proxy. `ancestor`: kube-proxy's old userspace mode. `incumbent`:
 * kube-proxy as people run it. `kernel`: kube-portal where the kernel carries. `relay`: kube-portal's relay.
 */
export type Role = 'path' | 'peer' | 'ancestor' | 'incumbent' | OwnRole;

type OwnRole = 'kernel' | 'relay';

/** Whether it is kube-portal. */
export function isOwn(role: Role): role is OwnRole {
  return role === 'kernel' || role === 'relay';
}

/** Something that brings the traffic of a VIP to the backend. */
export interface Contender {
  readonly id: string;
  readonly title: string;
  readonly protocols: readonly Protocol[];
  readonly role: Role;
  /** Number of service ports in rows that measure many ports. Absent: it takes no part in these rows. */
  readonly manyPorts?: number;
  /** Most TCP connections that it can hold in a row that measures its memory. Absent: as many as others. */
  readonly maxConnections?: number;
  /** Milliseconds between two changes of a Service, if it needs more than others to apply each at once. */
  readonly changePauseMs?: number;
  /** A program that it needs, and the Debian packages that contain the program. */
  readonly needs?: { readonly program: string; readonly packages: string };
  /** Makes what no package has. @returns whether this machine can have it; if not, the user knows why */
  prepare?(): boolean;
  /** Resolves once it serves. */
  start(testbed: Testbed, services: ServiceSet): Promise<Running>;
}

export const BOTH: readonly Protocol[] = ['TCP', 'UDP'];
