import type { Protocol } from '../../lib/model/portal.js';
import type { Stage } from '../stage.js';

/** Something that brings VIP traffic to the backend, at work on a stage. */
export interface Running {
  /** Where clients connect to. */
  readonly address: string;
  /** The userspace proxy's main process; null where the kernel does all. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

export interface Contender {
  readonly id: string;
  readonly title: string;
  readonly protocols: readonly Protocol[];
  /** The program it needs, and the Debian packages that bring it. */
  readonly needs?: { readonly program: string; readonly packages: string };
  /** Resolves once it serves. @param ports how many service ports a proxy for Services gets to know, the rows' own among them */
  start(stage: Stage, ports: number): Promise<Running>;
}

export const BOTH: readonly Protocol[] = ['TCP', 'UDP'];
