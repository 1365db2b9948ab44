import { clearAll } from '../redirect/clear.js';

/**
 * `run --cleanup`: takes away what kube-portal left in the kernel, in whatever mode and run, and says what it was.
 *
 * @param stateDir where an earlier run remembered which addresses are its own
 */
export async function removeEverything(stateDir: string): Promise<void> {
  const removed = await clearAll(stateDir);
  for (const what of removed) process.stdout.write(`removed ${what}\n`);
  if (removed.length === 0)
    process.stdout.write('nothing to remove: no rule or address of kube-portal is here\n');
}
