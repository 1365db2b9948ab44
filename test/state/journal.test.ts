import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { JournalFile } from '../../lib/state/journal.js';
import { journalLine, readJournal } from '../../lib/state/journallines.js';
import { WriteReport } from '../../lib/state/writereport.js';
import { listening } from './listening.js';

const KIND = 'numbers 1';
const HEADER = journalLine({ journal: KIND });

/** A journal of numbers in a directory of its own, and what the process knows: the numbers by name. */
class Stage {
  readonly state = new Map<string, number>();
  readonly directory = mkdtempSync(join(tmpdir(), 'kube-portal-journal-'));
  readonly path = join(this.directory, 'state', 'numbers');
  readonly troubles: string[];
  readonly journal: JournalFile;
  rewritten = 0;
  beforePage: () => Promise<void> = async () => undefined;

  constructor(t: Test, soundBytes = 0) {
    t.teardown(() => rmSync(this.directory, { recursive: true }));
    const { log, troubles } = listening();
    this.troubles = troubles;
    const report = new WriteReport(this.path, log, { what: 'numbers', loss: 'they are lost' });
    const { path } = this;
    this.journal = new JournalFile({ path, kind: KIND, soundBytes, all: () => this.#all(), report });
  }

  set(name: string, value: number): void {
    this.state.set(name, value);
    this.journal.append([[name, value]]);
  }

  async *#all() {
    this.rewritten++;
    for (const entry of [...this.state]) {
      await this.beforePage();
      yield [entry];
    }
  }

  /** What a next run knows. */
  async read(): Promise<Map<string, number>> {
    const { entries } = await JournalFile.read(this.path, KIND);
    return new Map([...entries] as [string, number][]);
  }
}

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
}

t.test('any beginning of a journal has a beginning of its entries', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 10 }), fc.nat(), (entries, cut) => {
      const bytes = Buffer.from(HEADER + entries.map(journalLine).join(''));
      const content = readJournal(bytes.subarray(0, cut % (bytes.length + 1)), HEADER);
      const written = entries.map((entry) => JSON.parse(JSON.stringify(entry)));
      t.equal(content.problem, null);
      t.strictSame([...content.entries], written.slice(0, content.count));
      if (cut % (bytes.length + 1) === bytes.length) t.equal(content.count, entries.length);
    }),
  );
});

t.test('of a damaged journal, what comes before the damage is believed, and nothing else', async (t) => {
  const change = fc.record({ at: fc.nat(), to: fc.nat(255) });
  fc.assert(
    fc.property(
      fc.array(fc.nat(), { maxLength: 10 }),
      fc.array(change, { minLength: 1 }),
      (entries, changes) => {
        const bytes = Buffer.from(HEADER + entries.map(journalLine).join(''));
        const first = Math.min(...changes.map(({ at }) => at % bytes.length));
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        const content = readJournal(bytes, HEADER);
        t.strictSame([...content.entries], entries.slice(0, content.count));
        t.ok(content.soundBytes >= 0 && content.soundBytes <= bytes.length);
        const whole = Buffer.from(HEADER + entries.map(journalLine).join(''));
        if (bytes.subarray(0, first + 1).equals(whole.subarray(0, first + 1))) return;
        t.ok(content.soundBytes <= first, 'the line with the first change is not sound');
      },
    ),
  );
});

t.test('damage and strange files are named', async (t) => {
  const lines = [1, 2, 3].map(journalLine);
  const read = (text: string) => {
    const content = readJournal(Buffer.from(text), HEADER);
    return { ...content, entries: [...content.entries] };
  };
  t.match(read(HEADER + lines.join('')), { entries: [1, 2, 3], problem: null });
  t.match(read(''), { entries: [], soundBytes: 0, problem: null });
  t.match(read(HEADER + lines[0] + lines[1]?.replace('2', '7') + lines[2]), {
    entries: [1],
    soundBytes: HEADER.length + (lines[0]?.length ?? 0),
    problem: 'it is damaged from line 3 on',
  });
  const json = '{';
  t.match(read(`${HEADER}${crc32(json).toString(16).padStart(8, '0')} ${json}\n${lines[0]}`), {
    entries: [null, 1],
    problem: null,
  });
  for (const text of ['{"a": 1}\n', journalLine({ journal: 'numbers 2' }) + lines[0], '\0'.repeat(100)])
    t.match(read(text), { entries: [], soundBytes: 0, problem: /no such file, or one of another version/ });
});

t.test('a journal begins with the first entry, and goes on in the next run', async (t) => {
  const stage = new Stage(t);
  await stage.journal.close();
  t.notOk(existsSync(stage.path), 'without entries there is no file');
  stage.set('a', 1);
  stage.set('b', 2);
  await stage.journal.close();
  t.same(
    [...(await stage.read())],
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  t.equal(statSync(stage.path).mode & 0o777, 0o600, 'only root may read it');

  appendFileSync(stage.path, '12345678 [half a li');
  const { soundBytes, problem } = await JournalFile.read(stage.path, KIND);
  t.equal(problem, null);
  const { path } = stage;
  const { log } = listening();
  const report = new WriteReport(path, log, { what: 'numbers', loss: 'they are lost' });
  const next = new JournalFile({ path, kind: KIND, soundBytes, all: () => t.fail() as never, report });
  next.append([['c', 3]]);
  await next.close();
  t.same(
    [...(await stage.read())],
    [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ],
    'the half line is cut off',
  );
  await next.remove();
  t.notOk(existsSync(path));
});

t.test('a file that is no journal is replaced, a link is not followed', async (t) => {
  for (const make of [
    (path: string) => writeFileSync(path, 'something else'),
    (path: string) => symlinkSync('/etc/hostname', path),
  ]) {
    const stage = new Stage(t);
    mkdirSync(join(stage.directory, 'state'));
    make(stage.path);
    stage.set('a', 1);
    await stage.journal.close();
    t.same([...(await stage.read())], [['a', 1]]);
    t.notMatch(readFileSync('/etc/hostname', 'utf8'), 'journal');
  }
  const stage = new Stage(t);
  mkdirSync(join(stage.directory, 'state'));
  symlinkSync('/etc/hostname', stage.path);
  await t.rejects(JournalFile.read(stage.path, KIND), /symbolic link/);
});

t.test('a journal is rewritten when most of it is out of date', async (t) => {
  const stage = new Stage(t);
  const pad = 'x'.repeat(1000);
  for (let i = 0; i < 6000; i++) {
    stage.set(`${i % 10}${pad}`, i);
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => existsSync(stage.path) && statSync(stage.path).size < 2 << 20);
  await stage.journal.close();
  t.ok(stage.rewritten > 0);
  t.same(await stage.read(), stage.state);
});

t.test('a journal that cannot be written is rewritten later, and that is logged once', async (t) => {
  const stage = new Stage(t);
  writeFileSync(join(stage.directory, 'state'), 'in the way');
  stage.set('a', 1);
  await until(() => stage.troubles.length > 0);
  t.match(stage.troubles, [
    /cannot remember numbers in --state-dir .*: kube-portal goes on, but they are lost/,
  ]);
  stage.set('b', 2);
  rmSync(join(stage.directory, 'state'));
  await until(() => stage.troubles.length > 1);
  t.match(stage.troubles[1], /info: .*numbers can be written again/);
  t.same(await stage.read(), stage.state);
  rmSync(join(stage.directory, 'state'), { recursive: true });
  stage.set('c', 3);
  await until(() => existsSync(stage.path));
  await stage.journal.close();
  t.same(await stage.read(), stage.state, 'also when the directory was removed');
});

t.test('while a journal is rewritten, the old file takes entries, and the new one has them', async (t) => {
  const stage = new Stage(t);
  const pad = 'x'.repeat(1000);
  let go: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  stage.beforePage = () => held;
  for (let i = 0; i < 2000; i++) stage.set(`${i % 10}${pad}`, i);
  await until(() => stage.rewritten === 1);
  stage.set('late', 1);
  await until(async () => (await stage.read()).has('late'));
  t.ok(statSync(stage.path).size > 2_000_000, 'it is still the old file');
  stage.set('late', 2);
  go?.();
  await until(() => statSync(stage.path).size < 100_000);
  t.same(await stage.read(), stage.state);
  stage.set('later', 3);
  await stage.journal.close();
  t.same(await stage.read(), stage.state);
  t.equal(stage.rewritten, 1);
});

t.test('a journal that may not be rewritten any more still takes entries', async (t) => {
  const stage = new Stage(t);
  stage.set('a', 1);
  await stage.journal.stopRewriting();
  const pad = 'x'.repeat(2 << 20);
  stage.set(pad, 2);
  await stage.journal.close();
  t.equal(stage.rewritten, 0);
  t.same(await stage.read(), stage.state);
});
