import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { analyse } from '../../../lib/affinity/analysis.js';
import { resultPage } from '../../../lib/affinity/page/page.js';
import type { AffinityResult } from '../../../lib/affinity/result.js';
import { countOf, unbalanced } from '../../lab/markuptext.js';
import { observe, ROUNDS, recordOf, resultOf } from '../fixtures.js';

const RESULTS = join(import.meta.dirname, '../../../../test/affinity/results');

function resultOfRun(name: string): AffinityResult {
  return JSON.parse(readFileSync(join(RESULTS, `${name}.json`), 'utf8'));
}

/** The texts of the elements of a kind, without what is inside in tags. */
function textsOf(page: string, name: string): string[] {
  const found = page.matchAll(new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>`, 'gs'));
  return Array.from(found, ([, inside = '']) => inside.replace(/<[^>]*>/g, ''));
}

/** What is true of each page. */
function checkPage(t: Test, page: string): void {
  t.same(unbalanced(page), []);
  t.notMatch(page, /NaN|undefined|Infinity|\[object/);
  t.notMatch(page, /<script|<link|<img|<iframe|@import|url\(|https?:/, 'it loads nothing and runs nothing');
}

t.test('the page of a real run whose clients are split over ports', async (t) => {
  const result = resultOfRun('per-port');
  const page = resultPage(result);
  checkPage(t, page);
  t.match(page, '<meta name="viewport"');
  t.match(page, 'prefers-color-scheme: dark');
  t.match(
    textsOf(page, 'p')[0],
    /Not as expected, the affinity is ClientIP per port instead of ClientIP: each/,
  );
  t.same(textsOf(page, 'h3'), ['before any event', 'after event 1', 'before any event', 'after event 1']);
  t.same(textsOf(page, 'h4'), [
    '23 of 24 clients: several backends at a time',
    '1 of 24 clients: one backend on all ports',
    '13 of 24 clients: several backends at a time',
    '8 of 24 clients: no answer at some port',
    '3 of 24 clients: one backend on all ports',
  ]);
  t.equal(
    countOf(page, 'class="cell"'),
    2 * 24 * 3,
    'a cell for each client and port in each stage of rounds',
  );
  t.equal(countOf(page, 'aria-label="198.18.0.'), 24, 'a row of the timeline for each client');
  t.equal(countOf(page, 'class="move"'), result.moves.length, 'each move is marked');
  for (const { client } of result.links) t.ok(page.includes(client), client);
});

t.test('the page of a real run whose clients have one backend each, and some moved', async (t) => {
  const page = resultPage(resultOfRun('per-service'));
  checkPage(t, page);
  t.match(
    textsOf(page, 'p')[0],
    'As expected, the affinity is ClientIP: each client has one backend on all ports.',
  );
  t.same(textsOf(page, 'h4'), Array(2).fill('24 of 24 clients: one backend on all ports'));
  t.match(page, 'An idle client loses its backend after 4.84 s to 5.02 s.');
  t.match(page, '8 of 24 clients moved, 0 of them away from a backend that went on answering.');
});

t.test('all that comes from outside is escaped', async (t) => {
  const evil = `<script>alert(1)</script>"'&`;
  const observations = [
    ...observe([
      { client: evil, port: '80/tcp', met: 'ab' },
      { client: '10.0.0.2', port: '80/tcp', met: 'a.' },
    ]),
  ].map((each) =>
    each.backend === null ? { ...each, error: evil } : { ...each, backend: `${each.backend}${evil}` },
  );
  const event = { kind: 'event', startMs: 0, endMs: 9, commandStartMs: 1, commandEndMs: 2 } as const;
  const record = recordOf(observations, {
    stages: [ROUNDS, { ...event, command: evil, exitCode: null, intervalMs: 1 }],
    asked: { service: evil, ports: [{ port: '80/tcp', identify: evil }] },
    timeout: { port: evil, keptMs: 0, movedMs: null, trials: [] },
    startedAt: evil,
  });
  const page = resultPage({ ...analyse(record), aliases: [{ alias: evil, backend: evil }] });
  checkPage(t, page);
  t.ok(countOf(page, '&#60;script&#62;') > 15);
});

t.test('what a pod reports and is no text cannot become markup', async (t) => {
  const result = resultOf([{ client: '10.0.0.1', port: '80/tcp', met: 'aa' }]);
  const backends = [['<script>']] as unknown as readonly string[];
  checkPage(t, resultPage({ ...result, backends }));
});

t.test('one backend', async (t) => {
  const page = resultPage(resultOf([{ client: '10.0.0.1', port: '80/tcp', met: 'aaa' }]));
  checkPage(t, page);
  t.match(textsOf(page, 'p')[0], /The affinity could not be measured: only a answered\./);
  t.match(page, 'No link met another backend than before.');
});

t.test('no answer at all', async (t) => {
  const clients = ['10.0.0.1', '10.0.0.2'];
  const page = resultPage(resultOf(clients.map((client) => ({ client, port: '80/tcp', met: '...' }))));
  checkPage(t, page);
  t.match(
    textsOf(page, 'p')[0],
    'The affinity could not be measured: no backend was recognized (no answer).',
  );
  t.match(page, 'Nobody answered.');
  t.same(textsOf(page, 'h4'), ['2 of 2 clients: no answer at some port']);
  t.equal(countOf(page, 'class="hole"'), 2, 'nothing but silence over time');
});

t.test('a run that never came to its first round', async (t) => {
  checkPage(t, resultPage(analyse({ ...recordOf([]), stages: [], tookMs: 0 })));
});

t.test('a link without an answer makes a run unexpected whose affinity is expected', async (t) => {
  const page = resultPage(
    resultOf([
      { client: '10.0.0.1', port: '80/tcp', met: 'aaa' },
      { client: '10.0.0.2', port: '80/tcp', met: 'bbb' },
      { client: '10.0.0.3', port: '80/tcp', met: '...' },
    ]),
  );
  const verdict = 'Not as expected, although the affinity is ClientIP: 1 of 3 links never had an answer.';
  t.match(textsOf(page, 'p')[0], verdict);
});

t.test('gaps come the longest first, and those longer than usual are holes in the timeline', async (t) => {
  const result = resultOfRun('per-service');
  const stages = result.stages.map((stage) => {
    if (stage.kind !== 'event') return stage;
    const gaps = stage.gaps.map((gap, index) => ({
      ...gap,
      longestMs: index === 7 ? 2345 : 100,
      ended: index !== 7,
    }));
    return { ...stage, gaps };
  });
  const page = resultPage({ ...result, stages });
  t.match(page, `${result.links[7]?.port}: 2345 ms without an answer, and none since`);
  t.equal(countOf(page, 'ms without an answer'), 1);
  const [, longest] = /Gap, ms.*?<tbody>.*?class="number">(\d+)</s.exec(page) ?? [];
  t.equal(longest, '2345');
});

t.test('500 clients with 3 ports and 12 backends', async (t) => {
  const ports = ['80/tcp', '7410/udp', '7411/udp'];
  const clients = Array.from({ length: 500 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
  const courses = clients.flatMap((client, index) =>
    ports.map((port, place) => {
      const backend = String.fromCharCode(97 + ((index + (index % 5 === 0 ? place : 0)) % 12));
      return { client, port, met: backend.repeat(10) };
    }),
  );
  const page = resultPage(resultOf(courses));
  checkPage(t, page);
  t.equal(countOf(page, 'class="cell"'), 1500);
  t.same(textsOf(page, 'h4'), [
    '100 of 500 clients: several backends at a time',
    '400 of 500 clients: one backend on all ports',
  ]);
  t.same(textsOf(page, 'summary'), ['420 more clients', '1480 more links']);
  t.match(page, 'Colours repeat');
  t.equal(new Set(page.match(/(?<=class="badge c\d" title="[a-l]">)[A-L](?=<)/g)).size, 12, 'letters do not');
  t.ok(page.length < 2_000_000, `${page.length} characters`);
});

t.test('a client that was split before an event and not after it is told so', async (t) => {
  const early = observe([
    { client: '10.0.0.1', port: '80/tcp', met: 'aba' },
    { client: '10.0.0.2', port: '80/tcp', met: 'aab' },
  ]);
  const late = observe([{ client: '10.0.0.1', port: '80/tcp', met: 'aaa' }], 2, 20_000);
  const event = { kind: 'event', startMs: 10_000, endMs: 19_000, exitCode: 0, intervalMs: 100 } as const;
  const record = recordOf([...early, ...late], {
    stages: [
      ROUNDS,
      { ...event, command: 'true', commandStartMs: 11_000, commandEndMs: 12_000 },
      { kind: 'rounds', startMs: 20_000, endMs: 21_000 },
    ],
  });
  t.same(textsOf(resultPage(analyse(record)), 'h4'), [
    '1 of 2 clients: several backends at a time',
    '1 of 2 clients: moved for good',
    '1 of 2 clients: no answer at some port',
    '1 of 2 clients: one backend on all ports',
  ]);
});

t.test('of very many moves the page has the first 5000, and says so', async (t) => {
  const clients = Array.from({ length: 60 }, (_, index) => `10.0.0.${index}`);
  const page = resultPage(
    resultOf(clients.map((client) => ({ client, port: '80/tcp', met: 'ab'.repeat(51) }))),
  );
  checkPage(t, page);
  t.match(page, '4980 more moves');
  t.match(page, '1060 more moves are left out. -o json has all.');
  t.equal(countOf(page, 'class="move"'), 0, 'so many marks would hide the colours');
});

t.test('a cell with more backends than it has room for has stripes without letters', async (t) => {
  const [few, many] = ['abcdabcd', 'abcdeabcde'].map((met) =>
    resultPage(resultOf([{ client: '10.0.0.1', port: '80/tcp', met }])),
  );
  const letters = (page = '') =>
    /class="cell"[^>]*>(.*?)<\/span>/.exec(page)?.[1]?.match(/[A-Z](?=<)/g) ?? [];
  t.same(letters(few), ['A', 'B', 'C', 'D']);
  t.same(letters(many), []);
});
