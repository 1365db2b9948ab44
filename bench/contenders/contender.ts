import type { Protocol } from '../../lib/net/protocol.js';
import type { Stage } from '../stage.js';
import type { ApiServer } from './api-server.js';

/** Something that brings VIP traffic to the backend, at work on a stage. */
export interface Running {
  /** Where clients connect to. */
  readonly address: string;
  /** The userspace proxy's main process; null where the kernel does all. */
  readonly pid: number | null;
  /** The API server that it follows, where it does. */
  readonly api?: ApiServer;
  stop(): Promise<void>;
}

/** What a proxy for Services gets to know; the others serve the rows' own ports in any case. */
export interface Setting {
  /** How many service ports there are, the rows' own among them. */
  readonly ports: number;
  /** Where they come from, for those who have the choice. @defaultValue `manifest` */
  readonly source?: 'manifest' | 'api';
}

/** A path without a program that relays, another proxy, the proxy that kube-portal comes after, kube-portal. */
export type Role = 'path' | 'peer' | 'ancestor' | 'own';

export interface Contender {
  readonly id: string;
  readonly title: string;
  readonly protocols: readonly Protocol[];
  readonly role: Role;
  /** How many service ports it is measured with where many are wanted; undefined where that means nothing. */
  readonly manyPorts?: number;
  /** How many TCP connections it survives under the usual limit of 20,000 descriptors, where these are few. */
  readonly mostConnections?: number;
  /** The program it needs, and the Debian packages that bring it. */
  readonly needs?: { readonly program: string; readonly packages: string };
  /** Resolves once it serves. */
  start(stage: Stage, setting: Setting): Promise<Running>;
}

export const BOTH: readonly Protocol[] = ['TCP', 'UDP'];
