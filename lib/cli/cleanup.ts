import { removeAdminSocket } from '../admin/channel.js';
import { NodeLock } from '../controlplane/nodelock.js';
import { ownBit } from '../portal/carrier.js';
import { clearAll } from '../redirect/clear.js';
import { StateDir } from '../state/statedir.js';
import { PINS_FILE, PORTS_FILE, StateFile } from '../state/statefile.js';

/**
 * `run --cleanup`: removes everything that any earlier run left in the kernel and in the state directory,
 * and prints what was removed.
 *
 * @param stateDir directory in which an earlier run stored its proxy ports and addresses
 * @param markMask the bits by which conntrack's entries of earlier runs are known
 * @throws Error while a kube-portal runs on this node, because it would put everything back
 */
export async function removeEverything(stateDir: string, markMask: number): Promise<void> {
  const lock = NodeLock.take();
  const removed = await clearAll(stateDir, ownBit(markMask)).finally(() => lock.release());
  await removeState(stateDir);
  for (const what of removed) process.stdout.write(`removed ${what}\n`);
  if (removed.length === 0)
    process.stdout.write('nothing to remove: no rule or address of kube-portal is here\n');
}

/** Removes all that a run has left in the state directory for the next one. */
export async function removeState(stateDir: string): Promise<void> {
  await new StateFile(stateDir, PORTS_FILE).remove();
  await new StateFile(stateDir, PINS_FILE).remove();
  await removeAdminSocket(stateDir);
  await StateDir.of(stateDir).removeIfEmpty();
}
