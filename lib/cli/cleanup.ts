import { NodeLock } from '../controlplane/nodelock.js';
import { clearAll } from '../redirect/clear.js';
import { StateDir } from '../state/statedir.js';
import { PORTS_FILE, StateFile } from '../state/statefile.js';

/**
 * `run --cleanup`: takes away what kube-portal left in the kernel and in its state directory, in whatever
 * mode and run, and says what it was.
 *
 * @param stateDir where an earlier run remembered its proxy ports and addresses
 * @throws Error while a kube-portal runs here: it would put everything back
 */
export async function removeEverything(stateDir: string): Promise<void> {
  const lock = NodeLock.take();
  const removed = await clearAll(stateDir).finally(() => lock.release());
  await new StateFile(stateDir, PORTS_FILE).remove();
  await StateDir.of(stateDir).removeIfEmpty();
  for (const what of removed) process.stdout.write(`removed ${what}\n`);
  if (removed.length === 0)
    process.stdout.write('nothing to remove: no rule or address of kube-portal is here\n');
}
