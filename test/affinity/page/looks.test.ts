import t from 'tap';
import { Looks } from '../../../lib/affinity/page/looks.js';

const backends = Array.from({ length: 800 }, (_, index) => `web-${index}`);

t.test('each backend has a letter of its own, and neighbours have different colours', async (t) => {
  const all = new Looks(backends);
  const looks = backends.map((backend) => all.of(backend));
  t.equal(new Set(looks.map(({ letter }) => letter)).size, 800);
  const letterAt = (index: number) => looks[index]?.letter;
  t.same([0, 25, 26, 51, 52, 701, 702].map(letterAt), ['A', 'Z', 'AA', 'AZ', 'BA', 'ZZ', 'AAA']);
  t.notOk(looks.some(({ colour }, index) => colour === looks[index + 1]?.colour));
});

t.test('colours repeat if there are more than eight backends', async (t) => {
  t.equal(new Looks(backends.slice(0, 8)).repeat, false);
  t.equal(new Looks(backends.slice(0, 9)).repeat, true);
});
