import fc from 'fast-check';
import t from 'tap';
import { printable } from '../../lib/model/printable.js';

t.test('a short text without special characters stays as it is', async (t) => {
  for (const text of ['', 'web', 'Größe "1" \\ {}', '端口', '🤖']) t.equal(printable(text), text);
});

t.test('characters that a terminal acts upon are escaped', async (t) => {
  t.equal(printable('a\nb\r\tc'), 'a\\nb\\r\\tc');
  t.equal(printable('\u001b[2J\u009b1m\u007f'), '\\u001b[2J\\u009b1m\\u007f');
  t.equal(printable('abc\u202edef\u2028'), 'abc\\u202edef\\u2028');
  t.equal(printable('half \ud83e'), 'half \\ud83e');
});

t.test(
  'a text that is too long is cut between characters, and a mark tells how much is missing',
  async (t) => {
    t.equal(printable('x'.repeat(64), 64), 'x'.repeat(64));
    t.equal(printable('x'.repeat(300_000), 64), `${'x'.repeat(36)}... (299964 more characters)`);
    t.match(printable('🤖'.repeat(50), 64), /^🤖+\.\.\. \(\d+ more characters\)$/u);
    t.match(printable('\n'.repeat(64), 64), /^(\\n)+\.\.\. \(\d+ more characters\)$/);
  },
);

t.test('the limit holds for any text', async (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  fc.assert(
    fc.property(text, fc.integer({ min: 64, max: 200 }), (text, limit) => {
      const shown = printable(text, limit);
      return Buffer.byteLength(shown) <= limit && !/\p{Cs}/u.test(shown);
    }),
  );
  t.pass();
});
