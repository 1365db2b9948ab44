import { endCarriedFlows } from './carriedflows.js';
import { clearAddresses } from './clearaddresses.js';
import { clearIptables } from './cleariptables.js';
import { type RunCommand, runCommand } from './command.js';
import { RedirectError } from './driver.js';

/**
 * Removes the rules and the addresses that any driver made on this node, in this run or in earlier runs, and
 * ends the flows that the kernel carries.
 * @param ownBit the bit of a conntrack mark that such flows have, see {@link isCarried}
 * @returns one phrase for each kind that was removed, for example `3 addresses of the loopback device`
 * @throws RedirectError if one kind cannot be removed; the others are removed first
 */
export async function clearAll(
  stateDir: string,
  ownBit: number,
  run: RunCommand = runCommand,
): Promise<string[]> {
  const removed: string[] = [];
  const failures: string[] = [];
  const attempt = async (what: string, clear: Promise<number>) => {
    try {
      const count = await clear;
      if (count > 0) removed.push(`${count} ${what}`);
    } catch (error) {
      failures.push((error as Error).message);
    }
  };
  await attempt('iptables chains and jumps to them', clearIptables(run));
  await attempt('addresses of the loopback device', clearAddresses(stateDir));
  await attempt('flows that the kernel carried', endCarriedFlows(ownBit));
  if (failures.length > 0) throw new RedirectError(failures.join('; '));
  return removed;
}
