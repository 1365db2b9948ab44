import { readFileSync } from 'node:fs';
import { Command, type Option } from 'commander';
import t from 'tap';
import { addRunFlags } from '../../lib/cli/run-flags.js';

const README = readFileSync('README.md', 'utf8');
const PAGE = readFileSync('docs/flags.md', 'utf8');
const OPTIONS = addRunFlags(new Command('run')).options;
const SHOWN = OPTIONS.filter((option) => !option.hidden);
const HIDDEN = OPTIONS.filter((option) => option.hidden);

/** The default as the help prints it: commander's default, or the one at the end of the description. */
function defaultOf({ defaultValue, defaultValueDescription, description }: Option): string {
  if (defaultValue !== undefined) return defaultValueDescription ?? String(defaultValue);
  return /\(default: (.*)\)$/.exec(description)?.[1] ?? '';
}

/** The page's headings and the first two columns of its tables, in order. */
function readPage(): string[] {
  const lines = PAGE.matchAll(/^(?:## (.*)|\| `(-[^`]+)` \| (?:([^|]+) )?\|.*)$/gm);
  return Array.from(lines, ([, heading, flag, fallback = '']) => heading ?? `${flag} | ${fallback}`);
}

/** The same headings and columns, from the program. */
function readProgram(): string[] {
  const groups = new Set(SHOWN.map((option) => option.helpGroupHeading ?? ''));
  return [...groups].flatMap((group) => [
    group.replace(/:$/, ''),
    ...SHOWN.filter((option) => option.helpGroupHeading === group).map(
      (option) => `${option.flags} | ${defaultOf(option)}`,
    ),
  ]);
}

t.test('docs/flags.md has the groups, flags and defaults of the program, in its order', async (t) => {
  const program = readProgram();
  t.same(readPage().slice(0, program.length), program);
});

t.test('docs/flags.md names every flag that is accepted for kube-proxy and means nothing', async (t) => {
  const heading = '## Flags of kube-proxy without a meaning here';
  const [section = ''] = PAGE.slice(PAGE.indexOf(heading) + heading.length).split('\n## ');
  const named = Array.from(section.matchAll(/`(--[\w-]+)`/g), ([, flag]) => flag);
  t.same(
    named,
    HIDDEN.map((option) => option.long),
  );
});

t.test("every flag in the README's table is one of the program, with the same default", async (t) => {
  const rows = Array.from(README.matchAll(/^\| `(-[\w-]+)[^|]*\| ([^|]*)\|/gm));
  t.ok(rows.length > 10);
  for (const [, flag = '', fallback = ''] of rows) {
    const option = SHOWN.find(({ long, short }) => flag === long || flag === short);
    t.ok(option, flag);
    const literal = /`([^`]*)`/.exec(fallback)?.[1];
    if (option !== undefined && literal !== undefined) t.equal(literal, defaultOf(option), flag);
  }
});
