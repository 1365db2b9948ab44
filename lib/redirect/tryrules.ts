import { ProgramHung } from './command.js';
import { PROBE_CHAIN } from './rules.js';
import { LockHeld, type Xtables } from './xtables.js';

/** Milliseconds. A probe gives up if another program holds the lock of legacy iptables for longer. */
const LOCK_PATIENCE_MS = 30_000;

/**
 * Whether the kernel has the matches and targets of these rules: else it refuses to load them.
 * @throws ProgramHung or LockHeld; then the answer is unknown
 */
export async function accepts(xtables: Xtables, table: string, rules: readonly string[]): Promise<boolean> {
  const install = rules.map((rule) => `-A ${PROBE_CHAIN} ${rule}`);
  try {
    await withRules(xtables, table, { install, remove: [] }, async () => {});
    return true;
  } catch (error) {
    if (error instanceof ProgramHung || error instanceof LockHeld) throw error;
    return false;
  }
}

/** Does something while some rules are in the kernel. @throws RedirectError if it refuses them */
export async function withRules(
  xtables: Xtables,
  table: string,
  { install, remove }: { install: readonly string[]; remove: readonly string[] },
  body: () => Promise<void>,
): Promise<void> {
  const script = (lines: readonly string[]) =>
    [`*${table}`, `:${PROBE_CHAIN} - [0:0]`, ...lines, 'COMMIT', ''].join('\n');
  await restorePatiently(xtables, script(install));
  try {
    await body();
  } finally {
    await restorePatiently(xtables, script([...remove, `-X ${PROBE_CHAIN}`]));
  }
}

/**
 * Tries again while another program holds the lock: the result of the probe is used until this process ends,
 * so a lock that is held for some seconds must not decide about it.
 */
async function restorePatiently(xtables: Xtables, script: string): Promise<void> {
  const end = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    try {
      return await xtables.restore(script);
    } catch (error) {
      if (!(error instanceof LockHeld) || performance.now() > end) throw error;
    }
  }
}
