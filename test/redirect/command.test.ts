import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type CommandLimits, Commands, ProgramHung } from '../../lib/redirect/command.js';
import { RedirectError } from '../../lib/redirect/driver.js';

/** Patience for what must not end by itself. */
const NEVER_MS = 3_600_000;

const shell = (script: string, limits: Partial<CommandLimits> = {}) =>
  new Commands(limits).run('sh', ['-c', script]);

/** The processes with this argument. */
function processesWith(argument: string): number[] {
  const isOne = (entry: string) => {
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').includes(argument);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc').filter(isOne).map(Number);
}

const runs = (argument: string) => processesWith(argument).length > 0;

const HUNG = { message: /^\w+ did not end within 1 s and was killed$/ };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

t.test('the exit code and the output of a program are returned', async (t) => {
  t.same(await new Commands().run('sh', ['-c', 'cat; echo b >&2; exit 3'], 'a'), {
    code: 3,
    stdout: 'a',
    stderr: 'b\n',
  });
  t.equal(await new Commands().run('no-such-program', []), null, 'is not installed');
});

t.test('a program that hangs is ended, with the programs that it started', async (t) => {
  const seconds = `${process.pid}1`;
  const said = await shell(`sleep ${seconds}; true`, { eachMs: 300 }).catch((error: unknown) => error);
  t.ok(said instanceof ProgramHung);
  t.match(said, { message: 'sh did not end within 1 s and was killed' });
  await until(() => !runs(seconds));
});

t.test('a program that ignores SIGTERM, or keeps its output open, does not keep us waiting', async (t) => {
  const seconds = `${process.pid}2`;
  const stubborn = `trap '' TERM; while :; do sleep ${seconds}; done`;
  await t.rejects(shell(stubborn, { eachMs: 300, graceMs: 50 }), HUNG);
  await until(() => !runs(seconds));
  const more = `${process.pid}3`;
  await t.rejects(shell(`setsid sleep ${more} & exit 0`, { eachMs: 300, graceMs: 50 }), HUNG);
  for (const pid of processesWith(more)) process.kill(pid, 'SIGKILL');
});

t.test('after hurry, each program has less time, and all together have a limit', async (t) => {
  const commands = new Commands({ eachMs: NEVER_MS, hurriedMs: 100, graceMs: 50 });
  const running = commands.run('sleep', [`${process.pid}4`]);
  commands.hurry(NEVER_MS);
  await t.rejects(running, HUNG, 'one that ran already');
  t.match(await commands.run('echo', ['a']), { stdout: 'a\n' }, 'one that comes then');
  commands.hurry(0);
  await t.rejects(commands.run('echo', ['a']), {
    message: /^echo was not run: kube-portal ends and has no time left/,
  });
});

t.test('a program that writes too much is ended', async (t) => {
  await t.rejects(shell('yes', { outputBytes: 100_000 }), {
    message: 'sh wrote more than 100000 bytes and was killed',
  });
  const noisy = await shell('head -c 1000000 /dev/zero >&2', { outputBytes: 100_000 });
  t.ok(noisy !== null && noisy.code === 0 && noisy.stderr.length <= 100_000, 'of complaints some are enough');
});

t.test('without a free descriptor, the error says why a program cannot start', async (t) => {
  const nofile = (soft: number) => execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${soft}:`]);
  nofile(readdirSync('/proc/self/fd').length + 50);
  const taken = takeDescriptors();
  const said = await new Commands().run('true', []).catch((error: unknown) => error);
  for (const fd of taken) closeSync(fd);
  t.ok(said instanceof RedirectError);
  t.match(said, { message: /^true could not be started: spawn .*EMFILE/ });
  t.match(await new Commands().run('true', []), { code: 0 }, 'the next time it works');
});

/** All descriptors that are free. */
function takeDescriptors(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    return taken;
  }
}
