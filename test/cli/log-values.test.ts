import { pino } from 'pino';
import t from 'tap';
import { LOG_VALUES } from '../../lib/cli/log-values.js';

/** The values of the one line that `write` logs. */
function lineOf(write: (log: pino.Logger) => void): Record<string, unknown> {
  let text = '';
  write(pino({ ...LOG_VALUES, base: null, timestamp: false }, { write: (line: string) => (text += line) }));
  return JSON.parse(text) as Record<string, unknown>;
}

const LONG = 'x'.repeat(300_000);
const CUT = /^x{4000,}\.\.\. \(\d+ more characters\)$/;

t.test('values and messages of any length and content give one short line', async (t) => {
  const values = { file: LONG, inside: { list: ['\u001b[2J', LONG] }, count: 3, none: null };
  t.match(
    lineOf((log) => log.warn(values, LONG)),
    { level: 40, file: CUT, inside: { list: ['\\u001b[2J', CUT] }, count: 3, none: null, msg: CUT },
  );
  t.match(
    lineOf((log) => log.warn(`${LONG}%s`)),
    { msg: CUT },
  );
  const { kinds } = lineOf((log) => log.warn({ kinds: new Array(1000).fill('v1 Pod') })) as { kinds: [] };
  t.equal(kinds.length, 101);
  t.equal(kinds.at(-1), '... (900 more)');
  const nested: { inside?: object } = {};
  nested.inside = nested;
  t.match(
    lineOf((log) => log.warn(nested)),
    { inside: {} },
  );
});

t.test('the log of an error has its message and place, and no member that Node added', async (t) => {
  const error = Object.assign(new Error(LONG), { code: 'ENOENT', spawnargs: ['--password', 'secret'] });
  const { err, msg } = lineOf((log) => log.error({ err: error }, 'a change failed')) as {
    err: { message: string; stack: string };
    msg: string;
  };
  t.equal(msg, 'a change failed');
  t.same(Object.keys(err), ['type', 'message', 'stack', 'code']);
  t.match(err.message, CUT);
  t.match(err.stack, /^ {4}at .*log-values/);
  t.notMatch(err.stack, /xxx/);
  t.match(
    lineOf((log) => log.error(error)),
    { err: { code: 'ENOENT' }, msg: CUT },
  );
  const outer = new Error('outer', { cause: new Error('inner') });
  t.match(
    lineOf((log) => log.error({ err: outer }, 'm')),
    { err: { cause: { message: 'inner' } } },
  );
});
