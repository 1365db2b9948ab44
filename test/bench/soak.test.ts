import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type Failure, KINDS } from '../../bench/soak/clients/talk.js';
import type { KindTotals } from '../../bench/soak/crowd.js';
import { reportText, type SoakResult } from '../../bench/soak/report.js';
import { type History, judge } from '../../bench/soak/verdict.js';
import { run } from '../lab/program.js';

t.setTimeout(0);

const MAIN = fileURLToPath(new URL('../../bench/soak/main.js', import.meta.url));
const failure = (at: number, wasOpen: boolean): Failure => ({ at, wasOpen, target: 'vip', reason: 'reset' });
const HISTORY: History = { kills: [100_000], gaps: [{ from: 200_000, to: 201_000 }], carrier: 'kernel' };

/** The times of those that are errors. */
function errorsAmong(failures: readonly Failure[], history: Partial<History> = {}): number[] {
  const totals: KindTotals = { done: 1, askedAgain: 0, failures: [...failures] };
  return judge(new Map([['tcp-short', totals]]), { ...HISTORY, ...history }).flatMap(({ errors }) =>
    errors.map(({ at }) => at),
  );
}

t.test('a connection ends with its endpoint, which is no error, but nobody is refused for it', async (t) => {
  t.same(errorsAmong([failure(100_010, true), failure(104_000, true)]), []);
  t.same(
    errorsAmong([failure(99_990, true), failure(100_010, false), failure(106_000, true)]),
    [99_990, 100_010, 106_000],
  );
});

t.test('a restart explains failures of the relay only', async (t) => {
  const failures = [failure(200_500, true), failure(200_500, false), failure(199_000, false)];
  t.same(errorsAmong(failures), [200_500, 200_500, 199_000]);
  t.same(errorsAmong(failures, { carrier: 'relay' }), [199_000]);
});

t.test('the report has a row for each kind of clients and each process', async (t) => {
  const usage = (second: number, process: number, memory: number) => ({
    ...{ second, process, memory },
    ...{ descriptors: 100, entries: 2000, rules: 64 },
  });
  const result: SoakResult = {
    carrier: 'kernel',
    seconds: 90,
    clients: [{ kind: 'dds', done: 12, askedAgain: 3, explained: 0, errors: [failure(0, false)] }],
    usages: [usage(9, 1, 70), usage(39, 1, 80), usage(49, 1, 75), usage(69, 2, 60)],
    leftovers: [],
  };
  t.equal(
    reportText(result),
    `carrier kernel, 90 s

CLIENTS  DONE  ASKED AGAIN  EXPLAINED  ERRORS
dds      12    3            0          1

PROCESS  SECONDS  MEMORY MiB          DESCRIPTORS      ENTRIES             RULES
1        9 - 49   80.0 → 75.0 (80.0)  100 → 100 (100)  2000 → 2000 (2000)  64.0 → 64.0 (64.0)
2        69 - 69  60.0 → 60.0 (60.0)  100 → 100 (100)  2000 → 2000 (2000)  64.0 → 64.0 (64.0)

1970-01-01T00:00:00.000Z dds vip: reset

nothing is left
`,
  );
});

t.test('a short soak has clients of all kinds and two restarts, and leaves nothing', async (t) => {
  const command = [process.execPath, MAIN, '--minutes', '0.25', '-o', 'json'];
  const { stdout, stderr } = await run(command, { timeoutMs: 600_000 });
  // Clients may have errors: where a restart takes a minute, the patience of all is over.
  const { clients, leftovers } = JSON.parse(stdout) as SoakResult;
  t.same(
    clients.map(({ kind }) => kind),
    KINDS,
  );
  for (const { kind, done } of clients) t.ok(done > 0, `${kind}: ${done}`);
  t.same(leftovers, []);
  t.match(stderr, /SIGKILL, and served again.*\n(?:.*\n)*SIGTERM, and served again/);
});
