import t from 'tap';
import type { ListedPin } from '../../lib/admin/pins.js';
import { durationText } from '../../lib/cli/duration-text.js';
import { pinsText } from '../../lib/cli/pins.js';

const PIN: ListedPin = {
  service: 'default/web',
  portal: null,
  client: '10.0.0.10',
  endpoint: 'default/web-1',
  ageMs: 61_500,
  leftMs: 10_799_000,
  moves: 0,
};

t.test('a table by Service and client', async (t) => {
  const text = pinsText({
    pins: [
      PIN,
      { ...PIN, client: '10.0.0.9', moves: 12 },
      { ...PIN, portal: 'default/web:admin/TCP/IPv4', client: '0110465b6276a1ab271afc1a' },
    ],
  });
  t.equal(
    text,
    `SERVICE                     CLIENT                    ENDPOINT       AGE   LEFT   MOVES
default/web                 10.0.0.9                  default/web-1  1m1s  2h59m  12
default/web                 10.0.0.10                 default/web-1  1m1s  2h59m  0
default/web:admin/TCP/IPv4  0110465b6276a1ab271afc1a  default/web-1  1m1s  2h59m  0
`,
  );
  t.equal(pinsText({ pins: [] }), 'no client is pinned\n');
});

t.test('a duration has its two largest units', async (t) => {
  for (const [ms, text] of [
    [0, '0s'],
    [999, '0s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [3_600_000 + 59_000, '1h'],
    [3_661_000, '1h1m'],
    [26 * 3_600_000, '1d2h'],
  ] as const)
    t.equal(durationText(ms), text);
});
