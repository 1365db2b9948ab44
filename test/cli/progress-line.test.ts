import t from 'tap';
import { ProgressLine } from '../../lib/cli/progress-line.js';

/** A stream that keeps what is written. */
function recorder(isTTY: boolean, columns?: number) {
  const written: string[] = [];
  const write = (text: string) => written.push(text) > 0;
  return { written, isTTY, write, ...(columns !== undefined && { columns }) };
}

t.test('on a terminal there is one line, which changes and is removed', async (t) => {
  const stream = recorder(true, 12);
  const line = new ProgressLine(stream);
  line.show('one');
  line.show('a line that is too long');
  line.end();
  t.same(stream.written, ['\r\x1b[2Kone', '\r\x1b[2Ka line that', '\r\x1b[2K']);
});

t.test('elsewhere there is a line at first, and then only now and then', async (t) => {
  const stream = recorder(false);
  const line = new ProgressLine(stream);
  line.show('one');
  line.show('two');
  line.end();
  t.same(stream.written, ['one\n']);
});
