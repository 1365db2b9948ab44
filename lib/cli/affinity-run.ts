import { networkInterfaces } from 'node:os';
import { analyse, type RunRecord } from '../affinity/analysis.js';
import { isKindOf, portText, type ServicePort } from '../affinity/asking/identify/kinds.js';
import { runTest } from '../affinity/asking/run.js';
import { NotMeasured } from '../affinity/notmeasured.js';
import { type Family, familyOf } from '../net/address.js';
import type { AffinityFlags } from './affinity.js';
import { measured, printResult } from './affinity-output.js';
import { report } from './affinity-report.js';
import { findTarget, type Target } from './affinity-target.js';
import { ProgressLine } from './progress-line.js';
import { UsageError } from './usage-error.js';

/**
 * Carries out a test and prints its result.
 * @throws Ended with the exit code of the verdict; NotMeasured, UsageError
 */
export async function testAffinity(text: string, flags: AffinityFlags): Promise<void> {
  const { reportTo, output } = flags;
  const record = await measured(async () => {
    const kubeconfig = flags.kubeconfig ?? (process.env.KUBECONFIG || undefined);
    const target = await findTarget(text, familyOfClients(flags), kubeconfig);
    return await carryOut(target, flags);
  });
  if (reportTo === undefined) printResult(analyse(record), output);
  else await measured(() => report(record, reportTo));
}

/** The IP family of the clients; null if none are given. @throws UsageError if they cannot be clients */
function familyOfClients({ clients = [] }: AffinityFlags): Family | null {
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((each) => each.address)),
  );
  const taken = clients.find((client) => own.has(client));
  if (taken !== undefined) throw new UsageError(`--clients: ${taken} is an address of this node`);
  const [family, ...others] = [...new Set(clients.map(familyOf))];
  if (others.length > 0) throw new UsageError('--clients: give addresses of one IP family');
  return family ?? null;
}

async function carryOut(target: Target, flags: AffinityFlags): Promise<RunRecord> {
  const ports = flags.ports ?? target.ports;
  if (ports.length === 0)
    throw new UsageError(
      '--ports: say which ports to ask, such as 80/tcp,7410/udp; an address has no list of them',
    );
  checkKind(flags, ports);
  const progress = new ProgressLine();
  const interruption = new AbortController();
  const interrupt = (signal: NodeJS.Signals) => interruption.abort(new NotMeasured(`ended by ${signal}`));
  for (const signal of STOP_SIGNALS) process.once(signal, interrupt);
  try {
    return await runTest({
      ...target,
      ports,
      clients: flags.clients ?? null,
      rounds: flags.rounds,
      expect: flags.expect ?? target.affinity ?? 'ClientIP',
      identify: flags.identify,
      httpPath: flags.httpPath,
      patienceMs: flags.patience,
      during: flags.during,
      intervalMs: flags.interval,
      settleMs: flags.settle,
      longestPauseMs: flags.idle ?? null,
      onProgress: (text) => progress.show(text),
      signal: interruption.signal,
    });
  } finally {
    progress.end();
    for (const signal of STOP_SIGNALS) process.off(signal, interrupt);
  }
}

/** @throws UsageError if the ports cannot be asked in the way that is wanted */
function checkKind({ identify }: AffinityFlags, ports: readonly ServicePort[]): void {
  if (identify === 'auto') return;
  const misfit = ports.find(({ protocol }) => !isKindOf(identify, protocol));
  if (misfit !== undefined)
    throw new UsageError(`--identify: ${identify} cannot be asked over the protocol of ${portText(misfit)}`);
}

const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
