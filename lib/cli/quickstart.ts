import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { Backends } from './backends.js';
import type { Daemon } from './daemon.js';
import { createLog } from './log.js';
import { portalTable } from './portal-table.js';
import { runFlagsOf } from './run-flags.js';

const MANIFEST = fileURLToPath(new URL('../../../examples/quickstart.yaml', import.meta.url));
const WEB_VIP = '10.96.0.10';
const ROBOT_VIP = '10.96.0.11';

interface QuickstartFlags {
  readonly namespaced: boolean;
}

/** `kube-portal quickstart`: sample Services and backends on this machine, until Ctrl-C. */
export function quickstartCommand(): Command {
  return new Command('quickstart')
    .description('Try kube-portal: serve two sample Services with sample backends on this machine.')
    .option('--namespaced', 'for a network namespace of its own: print the command that enters it', false)
    .action(quickstart);
}

async function quickstart({ namespaced }: QuickstartFlags): Promise<void> {
  if (process.geteuid?.() !== 0) {
    throw new Error(
      'quickstart changes rules or addresses and needs root. ' +
        'Without root, use `npm start`: it makes a network namespace',
    );
  }
  const log = await createLog(0);
  log.logger.level = 'warn';
  const { listenForSignals } = await import('./signals.js');
  const stopRequests = listenForSignals(log.logger);
  const backends = await Backends.start();
  try {
    const [{ Daemon }, { removeState }] = await Promise.all([import('./daemon.js'), import('./cleanup.js')]);
    const flags = runFlagsOf(await runArgs(namespaced));
    const daemon = await Daemon.start(flags, log, stopRequests);
    try {
      process.stdout.write(introduction(daemon, namespaced));
      await Promise.race([stopRequests.stop, daemon.broken]);
    } finally {
      await daemon.stop();
      await removeState(flags.stateDir);
    }
  } finally {
    await backends.stop();
  }
}

async function runArgs(namespaced: boolean): Promise<string[]> {
  const common = [`--manifest=${MANIFEST}`, '--healthz-bind-address=', '--drain-timeout=0'];
  if (namespaced) return [...common, '--redirect=address', `--state-dir=${temporaryDirectory()}`];
  const redirect = (await hasRouteTo(WEB_VIP)) ? 'auto' : 'address';
  return [...common, `--redirect=${redirect}`];
}

/** The state directory, because this user may not be allowed to write to /run. Removed at the end. */
function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'kube-portal-'));
  process.once('exit', () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/**
 * Whether the kernel has a route to the address. Without one, it drops a packet before iptables can rewrite
 * it. A machine that is offline has no default route.
 */
async function hasRouteTo(address: string): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    socket.connect(9, address);
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

function introduction(daemon: Daemon, namespaced: boolean): string {
  const { driver, workers, portals } = daemon.status();
  return `
kube-portal serves two sample Services on this machine (redirect: ${driver}, workers: ${workers}):

${portalTable(portals)}
${namespaced ? enterText() : 'In a second terminal:'}

  curl http://${WEB_VIP}     # several times: the three backends answer in turn
  ${askText(7410)}
  ${askText(7411)}   # the same backend as on 7410
  ${process.execPath} ${process.argv[1]} status

Ctrl-C ends kube-portal and the backends, and removes all rules and addresses.
`;
}

function enterText(): string {
  return `The Services exist only in a network namespace. In a second terminal, enter the namespace:

  nsenter --target ${process.pid} --user --net --preserve-credentials bash

and there:`;
}

function askText(port: number): string {
  return `bash -c 'exec 3<>/dev/udp/${ROBOT_VIP}/${port}; echo hello >&3; head -n 1 <&3'`;
}
