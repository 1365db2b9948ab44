import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { ConntrackFlags } from '../../lib/cli/conntrack-flags.js';
import { applyConntrack } from '../../lib/cli/conntrack-settings.js';

const SYSCTLS = '/proc/sys/net/netfilter/nf_conntrack_';
const MAX = `${SYSCTLS}max`;
const HASHSIZE = '/sys/module/nf_conntrack/parameters/hashsize';
const CLOSE_WAIT = `${SYSCTLS}tcp_timeout_close_wait`;
const ADVICE = 'run this as root of the node, at each boot:';
const KERNEL: Readonly<Record<string, number>> = {
  [MAX]: 1000,
  [HASHSIZE]: 100,
  [`${SYSCTLS}tcp_timeout_established`]: 432_000,
  [CLOSE_WAIT]: 60,
  [`${SYSCTLS}tcp_be_liberal`]: 0,
  [`${SYSCTLS}udp_timeout`]: 30,
  [`${SYSCTLS}udp_timeout_stream`]: 120,
};

/** A directory with the kernel's files for connection tracking. */
function machine(t: Test, files = KERNEL) {
  const root = t.testdir();
  for (const [file, value] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), `${value}\n`);
  }
  const log: Record<string, unknown>[] = [];
  const logger = pino({ base: null }, { write: (line) => void log.push(JSON.parse(line)) });
  return {
    root,
    log,
    apply: (flags: ConntrackFlags) => applyConntrack(flags, logger, root),
    /** The files that have changed. */
    changes: () =>
      Object.fromEntries(
        Object.entries(files)
          .map(([file, before]) => [file, before, Number(readFileSync(join(root, file), 'utf8'))] as const)
          .filter(([, before, now]) => now !== before)
          .map(([file, , now]) => [file, now]),
      ),
  };
}

t.test('a setting that is absent or 0 is not changed', async (t) => {
  const { apply, changes, log } = machine(t);
  apply({});
  apply({
    conntrackMaxPerCore: 0,
    conntrackMin: 1_000_000,
    conntrackTcpTimeoutEstablished: 0,
    conntrackTcpTimeoutCloseWait: 0,
    conntrackTcpBeLiberal: false,
    conntrackUdpTimeout: 0,
    conntrackUdpTimeoutStream: 0,
  });
  t.same([changes(), log], [{}, []]);
});

t.test('each setting is written to its file, times in whole seconds', async (t) => {
  const { apply, changes, log } = machine(t);
  apply({
    conntrackTcpTimeoutEstablished: 86_400_000,
    conntrackTcpTimeoutCloseWait: 3_600_000,
    conntrackTcpBeLiberal: true,
    conntrackUdpTimeout: 10_900,
    conntrackUdpTimeoutStream: 60_000,
  });
  t.same(changes(), {
    [`${SYSCTLS}tcp_timeout_established`]: 86_400,
    [CLOSE_WAIT]: 3600,
    [`${SYSCTLS}tcp_be_liberal`]: 1,
    [`${SYSCTLS}udp_timeout`]: 10,
    [`${SYSCTLS}udp_timeout_stream`]: 60,
  });
  t.match(log[1], { level: 30, file: CLOSE_WAIT, before: 60, value: 3600 });
});

t.test('the limit of entries and the table grow with the cores and never shrink', async (t) => {
  const cores = cpus().length;
  const limitAfter = (flags: ConntrackFlags, files?: Record<string, number>) => {
    const { apply, changes } = machine(t, { ...KERNEL, ...files });
    apply(flags);
    return changes();
  };
  const perCore = { conntrackMaxPerCore: 8000, conntrackMin: 0 };
  t.same(limitAfter(perCore), { [MAX]: 8000 * cores, [HASHSIZE]: 2000 * cores });
  t.same(limitAfter(perCore, { [MAX]: 8_000_000, [HASHSIZE]: 100_000 }), {}, 'larger limits stay');
  t.same(limitAfter({ ...perCore, conntrackMin: 4_000_000 })[MAX], 4_000_000, 'the minimum');
  t.equal(limitAfter({ conntrackMaxPerCore: 1_048_577 })[MAX], 1_048_576, 'the limit by cores has a maximum');
  t.equal(limitAfter({ conntrackMaxPerCore: 1 })[MAX], 131_072, "kube-proxy's minimum");
  t.equal(limitAfter({ conntrackMin: 1 })[MAX], Math.min(32_768 * cores, 1_048_576), "kube-proxy's number");
});

t.test(
  'a setting that cannot be written is logged with what to do, and the others are written',
  async (t) => {
    const { root, apply, log } = machine(t);
    rmSync(join(root, CLOSE_WAIT));
    mkdirSync(join(root, CLOSE_WAIT));
    apply({ conntrackTcpTimeoutCloseWait: 3_600_000, conntrackTcpBeLiberal: true });
    t.match(log[0], {
      level: 40,
      file: CLOSE_WAIT,
      value: 3600,
      reason: /^EISDIR/,
      msg: `connection tracking: not changed; ${ADVICE} echo 3600 > ${CLOSE_WAIT}`,
    });
    rmSync(join(root, CLOSE_WAIT), { recursive: true });
    apply({ conntrackTcpTimeoutCloseWait: 3_600_000 });
    t.match(log.at(-1), { level: 40, reason: /^ENOENT/, msg: /its module nf_conntrack is not loaded$/ });
    t.equal(readFileSync(join(root, `${SYSCTLS}tcp_be_liberal`), 'utf8'), '1');
  },
);
