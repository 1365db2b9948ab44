import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { ENOENT, SysError } from '../sys/errno.js';
import { VipGate, type VipPort } from '../sys/vipgate.js';
import { wildcardPorts } from './wildcards.js';

const NEEDS =
  'this needs Linux 5.9 with CONFIG_BPF_SYSCALL, and the capabilities BPF and NET_ADMIN (before Linux 5.11 also SYS_RESOURCE)';

/**
 * Refuses packets to the VIPs on the loopback device at ports where no portal listens. If the kernel cannot
 * do this, or fails later, all ports of the VIPs are open, because the portals must stay reachable.
 */
export class PortGate {
  /** The ports of other programs that clients of VIPs reach, for example `TCP 22; UDP 111`. */
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

  /** @param families the IP families of the VIPs */
  static open(log: Logger, families: readonly Family[]): PortGate {
    try {
      return new PortGate(log, families, VipGate.open(), '');
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return new PortGate(log, families, null, error.message);
    }
  }

  /** Sentences about ports that the gate cannot close, with the reason and what it needs. */
  get problems(): string[] {
    if (this.#exposed === '') return [];
    return [
      `clients of VIPs also reach the programs that listen on all addresses of this node (${this.#exposed}): the kernel cannot refuse them (${this.#reason}); ${NEEDS}`,
    ];
  }

  /** Looks for ports of other programs. Logs {@link problems} when it finds some for the first time. */
  async look(): Promise<void> {
    if (this.#kernel !== null) return;
    const before = this.#exposed;
    this.#exposed = await wildcardPorts(this.#families);
    if (before === '') for (const problem of this.problems) this.#log.warn(problem);
  }

  /** Gates these addresses and no others. */
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
