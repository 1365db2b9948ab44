import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';

const ROOT = join(import.meta.dirname, '../..');

/** The rooms of CONTRIBUTING.md's table, without `lib/`, and the rooms that each may use. Null: all rooms. */
function readTable(): ReadonlyMap<string, ReadonlySet<string> | null> {
  const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `lib/'));
  return new Map(
    rows.map((row) => {
      const [, room, uses] = /^\| `lib\/([\w/-]+)\/` \|[^|]*\| ([\w/, -]+) \|$/.exec(row) ?? [];
      if (room === undefined || uses === undefined)
        throw new Error(`CONTRIBUTING.md: no room and its uses: ${row}`);
      return [room, uses === 'everything' ? null : new Set(uses === 'nothing' ? [] : uses.split(', '))];
    }),
  );
}

const ROOMS = readTable();
const FILES = filesOf('lib');

/** The texts of a folder's files by their paths in the folder. */
function filesOf(folder: string): Map<string, string> {
  return new Map(
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [path, readFileSync(join(ROOT, folder, path), 'utf8')]),
  );
}

/** The room of a file: the nearest folder above it that has a row. */
function roomOf(path: string): string | undefined {
  const folder = dirname(path);
  return ROOMS.has(folder) ? folder : folder === '.' ? undefined : roomOf(folder);
}

/** The files of lib/ that a file imports, types too. */
function importsOf(path: string, text: string): string[] {
  const specifiers = text.matchAll(/(?:\bfrom |\bimport |\bimport\()'(\.[^']+)\.js'/g);
  return Array.from(specifiers, ([, specifier = '']) => normalize(join(dirname(path), `${specifier}.ts`)));
}

t.test('every folder of lib has a row in the table, and every row its folder', async (t) => {
  const folders = [...FILES.keys()].map(dirname);
  t.same(
    folders.filter((folder) => roomOf(join(folder, 'file')) === undefined),
    [],
  );
  for (const [room, uses] of ROOMS) {
    for (const folder of [room, ...(uses ?? [])]) t.ok(folders.includes(folder), `lib/${folder}/`);
  }
});

t.test('no file imports what its room may not use', async (t) => {
  for (const [path, text] of FILES) {
    const room = roomOf(path);
    const uses = room === undefined ? new Set<string>() : ROOMS.get(room);
    const strangers = importsOf(path, text).filter((to) => {
      const other = roomOf(to) ?? to;
      return other !== room && uses !== null && !uses?.has(other);
    });
    t.same(strangers, [], `lib/${path}`);
  }
});

t.test('rooms use only rooms above them in the table, so that dependencies point one way', async (t) => {
  const order = [...ROOMS.keys()];
  for (const [room, uses] of ROOMS) {
    const above = order.slice(0, order.indexOf(room));
    t.same(
      [...(uses ?? [])].filter((other) => !above.includes(other)),
      [],
      `lib/${room}/`,
    );
  }
});

t.test("libc's calls and memory addresses are in the room of the kernel only", async (t) => {
  const UNSAFE = /'koffi'|\/sys\/libc\.js'|\/sys\/layout\.js'|\.address [-+] |[-+] [\w.#]+\.address\b/;
  for (const [path, text] of FILES) {
    if (path.startsWith('sys/')) continue;
    t.notMatch(text, UNSAFE, `lib/${path}`);
  }
});

t.test('members are private by the language; where they cannot be, a comment says why', async (t) => {
  const HALF_PRIVATE = /\b(?:private|protected) (?!constructor)[\w ]+[(:=<]/;
  for (const [path, text] of FILES) {
    const lines = text.split('\n');
    const isExplained = (index: number) => lines[index - 1]?.includes('// Not `#') === true;
    t.same(
      lines.filter((line, index) => HALF_PRIVATE.test(line) && !isExplained(index)),
      [],
      `lib/${path}`,
    );
  }
});

t.test('comments fit into 110 columns', async (t) => {
  const isTooLong = (line: string) => line.length > 110 && /^ *(?:\/?\*|\/\/)|\*\/$/.test(line);
  for (const folder of ['lib', 'bench', 'test']) {
    for (const [path, text] of filesOf(folder)) {
      t.same(text.split('\n').filter(isTooLong), [], `${folder}/${path}`);
    }
  }
});
