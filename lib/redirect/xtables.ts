import type { Family } from '../net/address.js';
import { ProgramHung, type RunCommand } from './command.js';
import { RedirectError } from './driver.js';
import { countKubeProxyChains } from './kubeproxy.js';
import { isOwnChain, jumpsToOwnChain } from './rules.js';
import { difference, parseSave } from './ruleset.js';

/**
 * Which programs are run: those over nf_tables, those over the old x_tables interface, or, if the node has
 * neither under its own name, the programs called `iptables`.
 */
export type BackendName = 'nft' | 'legacy' | 'system';

/** How long a program waits for the lock that all legacy iptables programs share. */
const LOCK_SECONDS = '5';

/**
 * What programs over nf_tables print if the kernel has no netlink for netfilter, or has no nf_tables. Then
 * there can be no rules.
 */
const KERNEL_LACKS_IT = /not supported|Could not fetch rule set generation id: Invalid argument/;

/** Exit code and text of a legacy program that did not get the lock in time. */
const RESOURCE_PROBLEM = 4;
const HOLDS_LOCK = /holding the xtables lock/;

/** Another program holds the lock of legacy iptables. Nothing was changed; a later try may work. */
export class LockHeld extends RedirectError {}

/** `iptables-save` and `iptables-restore` of one back end and one family. */
export class Xtables {
  readonly #program: string;
  readonly #run: RunCommand;
  #lockArguments: readonly string[] = ['-w', LOCK_SECONDS];
  #dropsForwarded = false;

  constructor(
    readonly backend: BackendName,
    readonly family: Family,
    run: RunCommand,
  ) {
    this.#run = run;
    this.#program =
      (family === 'IPv4' ? 'iptables' : 'ip6tables') + (backend === 'system' ? '' : `-${backend}`);
  }

  /** Whether a chain FORWARD had the policy DROP when {@link save} last read the rules. */
  get dropsForwarded(): boolean {
    return this.#dropsForwarded;
  }

  /** All tables as text. Null: the program is not installed. @throws RedirectError */
  async save(): Promise<string | null> {
    const program = `${this.#program}-save`;
    const result = await this.#run(program, []);
    if (result === null) return null;
    if (result.code !== 0) throw new RedirectError(`${program} failed: ${firstLine(result.stderr)}`);
    this.#dropsForwarded = result.stdout.includes('\n:FORWARD DROP ');
    return result.stdout;
  }

  /**
   * Applies a script and keeps all other rules. Each table changes completely or not at all.
   * @throws RedirectError; {@link LockHeld} if another iptables program
   * holds the lock for {@link LOCK_SECONDS}
   */
  async restore(script: string): Promise<void> {
    const program = `${this.#program}-restore`;
    const result = await this.#run(program, ['--noflush', ...this.#lockArguments], script);
    if (result === null) throw new RedirectError(`${program} is not installed: ${INSTALL_HINT}`);
    if (result.code === 0) return;
    if (this.#lockArguments.length > 0 && /(?:unrecognized|invalid) option/.test(result.stderr)) {
      // iptables-restore has the flag -w since iptables 1.6.2.
      this.#lockArguments = [];
      return this.restore(script);
    }
    const message = `${program} failed: ${firstLine(result.stderr)}${refusedLine(result.stderr, script)}`;
    const isLocked = result.code === RESOURCE_PROBLEM && HOLDS_LOCK.test(result.stderr);
    throw isLocked ? new LockHeld(message) : new RedirectError(message);
  }

  /**
   * Removes all our chains and all jumps to them. Resolves to the number removed. 0 too if the kernel lacks
   * this back end. Null: the program is not installed.
   * @throws RedirectError
   */
  async clear(): Promise<number | null> {
    const text = await this.save().catch((error: Error) => {
      if (KERNEL_LACKS_IT.test(error.message)) return '';
      throw error;
    });
    if (text === null) return null;
    const { script, count } = difference(parseSave(text), new Map());
    if (count > 0) await this.restore(script);
    return count;
  }
}

export const INSTALL_HINT = 'apt-get install iptables';

export interface Backend {
  readonly name: BackendName;
  readonly IPv4: Xtables;
  readonly IPv6: Xtables;
  /** Number of kube-proxy's chains that were found. */
  readonly kubeProxyChains: number;
}

/**
 * The installed back ends. The first is the one that holds this node's rules: the one that the kubelet
 * marked, else the one with more rules of other programs, else nft. The kubelet's marks are chains that
 * iptables programs in containers shall look for: KUBE-IPTABLES-HINT, and KUBE-KUBELET-CANARY before
 * Kubernetes 1.24.
 * @throws ProgramHung if all installed programs hang
 */
export async function findBackends(run: RunCommand): Promise<Backend[]> {
  const named = await Promise.allSettled([inspect('nft', run), inspect('legacy', run)]);
  const installed = named.flatMap((found) => (found.status === 'fulfilled' ? (found.value ?? []) : []));
  if (installed.length === 0) {
    for (const found of named) if (found.status === 'rejected') throw found.reason;
    const system = await inspect('system', run);
    return system === null ? [] : [system.backend];
  }
  installed.sort((a, b) => Number(b.marked) - Number(a.marked) || b.rules - a.rules);
  return installed.map(({ backend }) => backend);
}

async function inspect(
  name: BackendName,
  run: RunCommand,
): Promise<{ backend: Backend; marked: boolean; rules: number } | null> {
  const [IPv4, IPv6] = [new Xtables(name, 'IPv4', run), new Xtables(name, 'IPv6', run)];
  const texts = await Promise.all([savedTables(IPv4), savedTables(IPv6).catch(() => '')]);
  if (texts[0] === null) return null;
  const lines = texts.flatMap((text) => text?.split('\n') ?? []);
  return {
    backend: { name, IPv4, IPv6, kubeProxyChains: countKubeProxyChains(lines) },
    marked: lines.some((line) => /^:KUBE-(?:IPTABLES-HINT|KUBELET-CANARY) /.test(line)),
    rules: lines.filter(isForeignRule).length,
  };
}

/**
 * All tables as text. Empty on an error, as for a back end that the kernel does not have: the probe finds out
 * whether the back end works. Null: the program is not installed.
 * @throws ProgramHung
 */
async function savedTables(xtables: Xtables): Promise<string | null> {
  try {
    return await xtables.save();
  } catch (error) {
    if (error instanceof ProgramHung) throw error;
    return '';
  }
}

function isForeignRule(line: string): boolean {
  return line.startsWith('-A ') && !isOwnChain(line.slice(3)) && !jumpsToOwnChain(line);
}

function firstLine(text: string): string {
  const line = text.split('\n').find((candidate) => candidate.trim() !== '');
  return line?.trim() ?? 'no message';
}

/** The line of the script that an error message of iptables-restore names. */
function refusedLine(message: string, script: string): string {
  const match = /line:? (\d+)/.exec(message);
  if (match === null) return '';
  const line = script.split('\n')[Number(match[1]) - 1];
  return line === undefined || line === 'COMMIT' ? '' : `, at "${line}"`;
}
