import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

const PAGE = readFileSync('docs/architecture.md', 'utf8');
const PICTURE = readFileSync('docs/architecture.svg', 'utf8');
const SOURCES = new Map(
  readdirSync('lib', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [join('lib', path), readFileSync(join('lib', path), 'utf8')]),
);

/** Rows of the walks: a file, and the functions that are called there. */
const STEPS = Array.from(
  PAGE.matchAll(/^\| `(lib\/[^`]+)` \| (`.*`) \|/gm),
  ([, file = '', functions = '']) => ({
    file,
    functions: namesIn(functions),
  }),
);

/** Names in backticks. */
function namesIn(text: string): string[] {
  return Array.from(text.matchAll(/`([^`]+)`/g), ([, name = '']) => name);
}

/** Whether a file declares a class with this method (`Class.method`), a class, or a function. */
function declares(source: string, name: string): boolean {
  const [owner = '', member] = name.split('.');
  if (member !== undefined) {
    const body = source.split(new RegExp(`^(?:export )?(?:abstract )?class ${owner}\\b`, 'm'))[1];
    const [own = ''] = body?.split(/^}/m) ?? [];
    return new RegExp(`^  (?:static |async |readonly |get |\\*)*${member}[(<:]`, 'm').test(own);
  }
  return new RegExp(`^(?:export )?(?:async )?(?:class|function) ${name}\\b`, 'm').test(source);
}

function isDeclared(name: string): boolean {
  return [...SOURCES.values()].some((source) => declares(source, name));
}

t.test('every step of a walk names functions that its file has', async (t) => {
  t.ok(STEPS.length > 50);
  for (const { file, functions } of STEPS) {
    const source = SOURCES.get(file);
    t.ok(source !== undefined, file);
    for (const name of functions) t.ok(declares(source ?? '', name), `${file}: ${name}`);
  }
});

t.test('every path that the page mentions is there', async (t) => {
  const paths = namesIn(PAGE).filter((name) => /^(?:lib|docs|test)\//.test(name));
  for (const path of paths) t.ok(existsSync(path), path);
});

t.test('every function that the page or its picture mentions is there', async (t) => {
  const names = [
    ...namesIn(PAGE).filter((name) => /^[A-Z]\w+\.#?\w+$/.test(name) && !/\.(?:md|svg)$/.test(name)),
    ...Array.from(PICTURE.matchAll(/class="code"[^>]*>([^<]+)</g), ([, text = '']) => text)
      .flatMap((text) => text.split(/, |\/ /))
      .filter((name) => /^[A-Z]|^[a-z]\w*[A-Z]/.test(name)),
  ];
  t.ok(names.length > 80);
  for (const name of names) t.ok(isDeclared(name), name);
});
