import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';

const UNSHARE = ['--user', '--map-root-user', '--net'];
const skip = spawnSync('unshare', [...UNSHARE, 'true']).status === 0 ? false : 'no user namespaces here';

/** The command that `npm start` runs without root. */
function startQuickstart() {
  const script = 'ip link set lo up && exec node bin/kube-portal quickstart --namespaced';
  return spawn('unshare', [...UNSHARE, 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

t.test(
  'three backends of the quickstart answer in turn, and it leaves nothing behind',
  { skip },
  async (t) => {
    const program = startQuickstart();
    t.teardown(() => program.kill('SIGKILL'));
    const ended = once(program, 'exit');
    let introduction = '';
    for await (const chunk of program.stdout) {
      introduction += String(chunk);
      if (introduction.includes('Ctrl-C')) break;
    }
    t.match(introduction, /default\/web:http +10\.96\.0\.10:80 +TCP/);
    const enter = ['--target', String(program.pid), '--user', '--net', '--preserve-credentials'];
    t.match(introduction, `nsenter ${enter.join(' ')} bash`);

    const answers = Array.from({ length: 6 }, () =>
      execFileSync('nsenter', [...enter, 'curl', '-sS', 'http://10.96.0.10'], { encoding: 'utf8' }),
    );
    t.equal(new Set(answers.slice(0, 3)).size, 3, 'three requests meet three backends');
    t.same(answers.slice(3), answers.slice(0, 3), 'the next three meet them in the same order');

    program.kill('SIGINT');
    t.same(await ended, [0, null]);
  },
);
