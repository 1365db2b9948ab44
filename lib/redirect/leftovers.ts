import type { Logger } from 'pino';

/**
 * Removes rules or addresses that an earlier run left in a place that this run does not use, and logs it.
 * If they cannot be removed, this run serves all the same.
 * @param where for people, for example `the nft back end`
 * @param cleared resolves to the number of removed rules or addresses; null: the programs for it are not
 * installed
 */
export async function clearLeftovers(
  log: Logger,
  where: string,
  cleared: Promise<number | null>,
): Promise<void> {
  try {
    const count = await cleared;
    if (count !== null && count > 0)
      log.info({ count, where }, 'removed rules or addresses that an earlier run had left');
  } catch (error) {
    const reason = (error as Error).message;
    // A user namespace cannot use the old iptables interface, so none of our rules can be there.
    const level = /permission denied|not permitted/i.test(reason) ? 'debug' : 'warn';
    log[level]({ where, reason }, 'cannot remove rules or addresses that an earlier run may have left');
  }
}
