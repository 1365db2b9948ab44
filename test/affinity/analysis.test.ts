import t from 'tap';
import { analyse } from '../../lib/affinity/analysis.js';
import type { RoundsStage } from '../../lib/affinity/result.js';
import { type Course, EVENT, observe, ROUNDS, recordOf, resultOf } from './fixtures.js';

const link = (client: string, port: string, met: string): Course => ({ client, port, met });

function roundsOf(courses: readonly Course[]): RoundsStage {
  const [stage] = resultOf(courses).stages;
  if (stage?.kind !== 'rounds') throw new Error('no rounds');
  return stage;
}

t.test('a client with one backend on all ports is not split', async (t) => {
  t.same(roundsOf([link('1', '80/tcp', 'aaa'), link('1', '53/udp', 'aaa')]).split, []);
});

t.test('a client is split whose ports have different backends', async (t) => {
  t.same(roundsOf([link('1', '80/tcp', 'aa'), link('1', '53/udp', 'bb'), link('2', '80/tcp', 'bb')]).split, [
    {
      client: '1',
      ports: [
        { port: '80/tcp', backends: ['a'] },
        { port: '53/udp', backends: ['b'] },
      ],
    },
  ]);
});

t.test('a client is split that meets a backend again after another one', async (t) => {
  t.same(roundsOf([link('1', '80/tcp', 'aba')]).split, [
    { client: '1', ports: [{ port: '80/tcp', backends: ['a', 'b'] }] },
  ]);
});

t.test('a client that leaves a backend for good on all ports is not split but has moved', async (t) => {
  const result = resultOf([
    link('1', '80/tcp', 'aaabbb'),
    link('1', '53/udp', 'aa.bbb'),
    link('2', '80/tcp', 'aaaaaa'),
    link('2', '53/udp', 'aaaaaa'),
  ]);
  t.same(result.stages[0], { ...result.stages[0], split: [] });
  t.same(result.moves, [
    { client: '1', port: '80/tcp', atMs: 300, stage: 0, from: 'a', to: 'b', fromAnswersLater: true },
    { client: '1', port: '53/udp', atMs: 301, stage: 0, from: 'a', to: 'b', fromAnswersLater: true },
  ]);
  t.match(result.verdict, {
    found: 'mixed',
    outcome: 'not as expected',
    reasons: [/Some clients keep/, '1 clients moved while nothing was done.'],
  });
});

t.test('a move away from a backend that is gone is told from one that nothing forced', async (t) => {
  const { moves } = resultOf([link('1', '80/tcp', 'aab')]);
  t.match(moves, [{ from: 'a', to: 'b', fromAnswersLater: false }]);
  const [late, ...others] = observe([link('1', 'p', 'b'), link('1', 'q', 'a')], 0, 300);
  const onItsWay = recordOf([...observe([link('1', 'p', 'aaa')]), { ...late!, tookMs: 50 }, ...others]);
  t.match(analyse(onItsWay).moves, [{ fromAnswersLater: false }], 'the end may come between two questions');
});

const MIXED = {
  asked: {
    ports: [
      { port: '80/tcp', identify: 'http' },
      { port: '7410/udp', identify: 'rtps' },
      { port: '7411/udp', identify: 'rtps' },
    ],
  },
};

t.test('a backend that ports know by different names is one backend', async (t) => {
  const courses = [
    ...[link('1', '80/tcp', 'aaa'), link('1', '7410/udp', 'xxx'), link('1', '7411/udp', 'xxx')],
    ...[link('2', '80/tcp', 'bbb'), link('2', '7410/udp', 'yyy'), link('2', '7411/udp', 'yyy')],
  ];
  const { backends, aliases, verdict } = resultOf(courses, MIXED);
  t.same(backends, ['a', 'b']);
  t.same(aliases, [
    { backend: 'a', alias: 'x' },
    { backend: 'b', alias: 'y' },
  ]);
  t.equal(verdict.found, 'ClientIP');
  t.equal(resultOf(courses).verdict.found, 'ClientIP per port', 'where all ports are asked in the same way');
});

t.test('different names do not hide that a client is split', async (t) => {
  const courses = ['ax', 'by', 'ax', 'ay'].flatMap(([web = '', dds = ''], client) => [
    link(String(client), '80/tcp', web.repeat(3)),
    link(String(client), '7410/udp', dds.repeat(3)),
    link(String(client), '7411/udp', dds.repeat(3)),
  ]);
  const {
    stages: [stage],
    verdict,
  } = resultOf(courses, MIXED);
  t.match(stage, { split: [{ client: '3' }] });
  t.equal(stage?.kind === 'rounds' && stage.split.length, 1);
  t.match(verdict.reasons, [/./, 'At least 1 of 4 clients met several backends at a time.']);
});

t.test('the distribution counts the last backend of each client, and all answers', async (t) => {
  const { distribution } = roundsOf([link('1', 'p', 'aaa'), link('2', 'p', 'bb'), link('3', 'p', 'ab')]);
  t.same(distribution, [
    { backend: 'a', clients: 1, evenClients: 1.5, answers: 4, evenAnswers: 3.5 },
    { backend: 'b', clients: 2, evenClients: 1.5, answers: 3, evenAnswers: 3.5 },
  ]);
});

t.test('a link has counts by backend and by error, and runs of the same outcome', async (t) => {
  const { links } = resultOf([link('1', 'p', 'aab..b')]);
  t.same(links, [
    {
      client: '1',
      port: 'p',
      met: { a: 2, b: 2 },
      unanswered: 2,
      errors: { 'no answer': 2 },
      runs: [
        { fromMs: 0, toMs: 100, backend: 'a', questions: 2 },
        { fromMs: 200, toMs: 200, backend: 'b', questions: 1 },
        { fromMs: 300, toMs: 400, backend: null, questions: 2 },
        { fromMs: 500, toMs: 500, backend: 'b', questions: 1 },
      ],
    },
  ]);
});

t.test('a link is told that was asked and never answered', async (t) => {
  const { verdict } = resultOf([link('1', 'p', 'aaa'), link('2', 'p', 'bbb'), link('3', 'p', '...')]);
  t.match(verdict, {
    found: 'ClientIP',
    outcome: 'not as expected',
    reasons: [/Each client/, /1 of 3 links/],
  });
});

t.test('the gap of a link is its longest time without an answer in the event', async (t) => {
  const before = [link('1', 'p', 'aa'), link('2', 'p', 'bb'), link('3', 'p', 'aa')];
  const during = [link('1', 'p', 'aa...ca'), link('2', 'p', 'bbbbbbb'), link('3', 'p', 'aa.....')];
  const { stages, moves } = analyse(
    recordOf([...observe(before), ...observe(during, 1, 1000)], { stages: [ROUNDS, EVENT] }),
  );
  t.same(stages[1], {
    ...EVENT,
    gaps: [
      { client: '1', port: 'p', longestMs: 400, atMs: 1101, ended: true, unanswered: 3 },
      { client: '2', port: 'p', longestMs: 100, atMs: 1002, ended: true, unanswered: 0 },
      { client: '3', port: 'p', longestMs: 500, atMs: 1103, ended: false, unanswered: 5 },
    ],
  });
  t.match(moves, [
    { client: '1', stage: 1, atMs: 1500, from: 'a', to: 'c' },
    { client: '1', stage: 1, atMs: 1600, from: 'c', to: 'a' },
  ]);
});

t.test('what happens in an event does not count against the affinity', async (t) => {
  const stages = [ROUNDS, EVENT, { ...ROUNDS, startMs: 2000 }];
  const { verdict } = analyse(
    recordOf(
      [
        ...observe([link('1', 'p', 'aaa'), link('2', 'p', 'bbb')]),
        ...observe([link('1', 'p', 'aba'), link('2', 'p', 'bbb')], 1, 1000),
        ...observe([link('1', 'p', 'ccc'), link('2', 'p', 'bbb')], 2, 2000),
      ],
      { stages },
    ),
  );
  t.match(verdict, { found: 'ClientIP', outcome: 'as expected' });
});

t.test('the verdict compares what was found with what is expected', async (t) => {
  const table: [courses: Course[], found: string][] = [
    [[link('1', 'p', 'aaaa'), link('1', 'q', 'aaaa'), link('2', 'p', 'bbbb')], 'ClientIP'],
    [[link('1', 'p', 'aaaa'), link('1', 'q', 'bbbb')], 'ClientIP per port'],
    [[link('1', 'p', 'abca'), link('2', 'p', 'bcab')], 'None'],
    [[link('1', 'p', 'aaaabaaa'), link('2', 'p', 'bbbbbbbb')], 'mixed'],
  ];
  for (const [courses, found] of table) {
    for (const expect of ['ClientIP', 'None'] as const) {
      const outcome = found === expect ? 'as expected' : 'not as expected';
      t.match(resultOf(courses, { asked: { expect } }).verdict, { found, outcome }, `${found}, ${expect}`);
    }
  }
});

t.test('what cannot be measured is said, with the reason', async (t) => {
  const table: [met: string, reason: RegExp][] = [
    ['...', /No backend was recognized \(no answer\)/],
    ['a', /--rounds/],
    ['aaa', /Only a answered/],
  ];
  for (const [met, reason] of table) {
    t.match(resultOf([link('1', 'p', met)]).verdict, { outcome: 'not measured', reasons: [reason] }, met);
  }
  const asked = { endpoints: 3 };
  t.match(
    resultOf([link('1', 'p', 'aaa')], { asked }).verdict,
    { found: 'ClientIP', outcome: 'as expected' },
    'one backend of several that are known to be there',
  );
});
