import t from 'tap';
import { LineOutput } from '../../lib/cli/line-output.js';

/** A reader that takes `room` bytes, and no more until it gets more room. */
class Reader {
  text = '';
  room = 0;

  readonly take = (bytes: Uint8Array): number => {
    const taken = Math.min(this.room, bytes.length);
    this.text += Buffer.from(bytes.subarray(0, taken)).toString();
    this.room -= taken;
    return taken;
  };
}

t.test('lines are written within the call if the reader takes them', (t) => {
  const reader = new Reader();
  reader.room = 100;
  new LineOutput(reader.take).write('one\n');
  t.equal(reader.text, 'one\n');
  t.end();
});

t.test('lines wait for a slow reader, whole and in order', async (t) => {
  const reader = new Reader();
  const output = new LineOutput(reader.take);
  reader.room = 2;
  for (const line of ['one\n', 'two\n', 'three\n']) output.write(line);
  t.equal(reader.text, 'on');
  reader.room = 7;
  output.write('four\n');
  t.equal(reader.text, 'one\ntwo\nt');
  reader.room = 100;
  await output.flush(60_000);
  t.equal(reader.text, 'one\ntwo\nthree\nfour\n');
  t.equal(output.dropped, 0);
});

t.test(
  'beyond 64 KiB, lines are dropped and counted, and the count is reported when the reader reads again',
  (t) => {
    const reader = new Reader();
    const output = new LineOutput(reader.take);
    output.onDropped((count) => output.write(`${count} dropped\n`));
    for (let index = 0; index < 10_000; index++) output.write(`${index}: ${'x'.repeat(90)}\n`);
    t.ok(output.dropped > 9000, 'the waiting lines are limited');
    reader.room = Number.POSITIVE_INFINITY;
    output.write('later\n');
    const lines = reader.text.trimEnd().split('\n');
    t.match(lines[0], /^0: /);
    t.same(lines.slice(-2), [`${output.dropped} dropped`, 'later'], 'at the place of the gap');
    t.equal(lines.length + output.dropped, 10_000 + 2, 'none is missing');
    output.write('and on\n');
    t.match(reader.text, /dropped\nlater\nand on\n$/, 'reported once');
    t.end();
  },
);
