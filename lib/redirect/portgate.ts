import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { ENOENT, SysError } from '../sys/errno.js';
import { VipGate, type VipPort } from '../sys/vipgate.js';
import { wildcardPorts } from './wildcards.js';

const NEEDS =
  'that takes Linux 5.9 with CONFIG_BPF_SYSCALL, and the capabilities BPF and NET_ADMIN (before Linux 5.11 SYS_RESOURCE too)';

/**
 * Refuses what comes to the VIPs on the loopback device at ports that no portal listens on. Where the kernel
 * cannot, or not any more, VIPs are left open: to be served is more.
 */
export class PortGate {
  /** Of the node's own programs, that clients of VIPs reach as nothing keeps them out. */
  #exposed = '';
  #gated: ReadonlySet<string> = new Set();

  readonly #log: Logger;
  readonly #families: readonly Family[];
  #kernel: VipGate | null;
  #reason: string;

  private constructor(log: Logger, families: readonly Family[], kernel: VipGate | null, reason: string) {
    this.#log = log;
    this.#families = families;
    this.#kernel = kernel;
    this.#reason = reason;
  }

  /** @param families of the VIPs */
  static open(log: Logger, families: readonly Family[]): PortGate {
    try {
      return new PortGate(log, families, VipGate.open(), '');
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return new PortGate(log, families, null, error.message);
    }
  }

  /** What is amiss on this node, and what it would take. */
  get problems(): string[] {
    if (this.#exposed === '') return [];
    return [
      `clients of VIPs also reach what listens on all addresses of this node (${this.#exposed}), as this kernel does not refuse them (${this.#reason}): ${NEEDS}`,
    ];
  }

  /** Looks for what {@link problems} names; says so when it is found first. */
  async look(): Promise<void> {
    if (this.#kernel !== null) return;
    const before = this.#exposed;
    this.#exposed = await wildcardPorts(this.#families);
    if (before === '') for (const problem of this.problems) this.#log.warn(problem);
  }

  /** From now on these addresses are gated, and no others. */
  gateOnly(addresses: readonly string[]): void {
    if (this.#kernel === null) return;
    const wanted = new Set(addresses);
    for (const address of wanted)
      if (!this.#gated.has(address)) this.#attempt((kernel) => kernel.gate(address));
    for (const address of this.#gated)
      if (!wanted.has(address)) this.#attempt((kernel) => kernel.ungate(address));
    this.#gated = wanted;
  }

  openPort(port: VipPort): void {
    this.#attempt((kernel) => kernel.openPort(port));
  }

  closePort(port: VipPort): void {
    this.#attempt((kernel) => kernel.closePort(port));
  }

  close(): void {
    this.#kernel?.close();
    this.#kernel = null;
  }

  #attempt(change: (kernel: VipGate) => void): void {
    if (this.#kernel === null) return;
    try {
      change(this.#kernel);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.code === ENOENT) return;
      this.#reason = error.message;
      this.close();
    }
  }
}
