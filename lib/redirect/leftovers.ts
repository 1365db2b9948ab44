import type { Logger } from 'pino';

/**
 * Removes what an earlier run may have left where this one does not look again, and says so.
 * Trouble with it is no reason not to serve.
 * @param where for people, for example `the nft back end`
 * @param cleared resolves to the number of things removed;
 * null where there is nothing that could have made any
 */
export async function clearLeftovers(
  log: Logger,
  where: string,
  cleared: Promise<number | null>,
): Promise<void> {
  try {
    const count = await cleared;
    if (count !== null && count > 0) log.info({ count, where }, 'removed what an earlier run had left');
  } catch (error) {
    const reason = (error as Error).message;
    // In a user namespace the old iptables interface is closed, so nothing of ours can be behind it.
    const level = /permission denied|not permitted/i.test(reason) ? 'debug' : 'warn';
    log[level]({ where, reason }, 'cannot remove what an earlier run may have left');
  }
}
