import { FAMILIES } from '../net/address.js';
import { ProgramHung, type RunCommand } from './command.js';
import { RedirectError } from './driver.js';
import { type BackendName, Xtables } from './xtables.js';

/**
 * Removes our rules from every installed back end. Both are cleared at the same time: if the programs of one
 * hang, the other is cleared all the same.
 * @returns the number of chains and jumps removed
 * @throws RedirectError if one back end cannot be cleared; the other is cleared first
 */
export async function clearIptables(run: RunCommand): Promise<number> {
  const cleared = await Promise.all([clearBackend('nft', run), clearBackend('legacy', run)]);
  // A node may have programs without a back end in their names only.
  if (!cleared.some(({ isInstalled }) => isInstalled)) cleared.push(await clearBackend('system', run));
  const failures = cleared.flatMap((backend) => backend.failures);
  if (failures.length > 0) throw new RedirectError(failures.join('; '));
  return cleared.reduce((sum, { count }) => sum + count, 0);
}

interface ClearedBackend {
  readonly isInstalled: boolean;
  readonly count: number;
  readonly failures: readonly string[];
}

async function clearBackend(backend: BackendName, run: RunCommand): Promise<ClearedBackend> {
  const failures: string[] = [];
  let isInstalled = false;
  let count = 0;
  for (const family of FAMILIES) {
    try {
      const removed = await new Xtables(backend, family, run).clear();
      isInstalled ||= removed !== null;
      count += removed ?? 0;
    } catch (error) {
      isInstalled = true;
      failures.push((error as Error).message);
      // Both families run the same program: it would hang again.
      if (error instanceof ProgramHung) break;
    }
  }
  return { isInstalled, count, failures };
}
