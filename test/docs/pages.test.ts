import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';

const PAGES = readdirSync('docs')
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));
const LINK = /\]\(([^)\s]+)\)/g;

/** The anchors of a page, as GitHub makes them from its headings. */
function anchorsOf(path: string): string[] {
  const headings = readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

t.test('the README is short', async (t) => {
  t.ok(readFileSync('README.md', 'utf8').split('\n').length < 130);
});

t.test('every page says in its first sentence whom it is for', async (t) => {
  for (const page of PAGES) t.match(readFileSync(page, 'utf8'), /^# .+\n\nThis page is for [^.]+/, page);
});

t.test('every page is linked from the README', async (t) => {
  const readme = readFileSync('README.md', 'utf8');
  for (const page of PAGES) t.ok(readme.includes(`(${page})`), page);
});

t.test('every link leads to a file, and to a heading in it', async (t) => {
  for (const page of ['README.md', 'CONTRIBUTING.md', ...PAGES]) {
    for (const [, link = ''] of readFileSync(page, 'utf8').matchAll(LINK)) {
      if (/^https?:/.test(link)) continue;
      const [file = '', anchor] = link.split('#');
      const path = file === '' ? page : join(dirname(page), file);
      t.ok(existsSync(path), `${page}: ${link}`);
      if (anchor !== undefined) t.ok(anchorsOf(path).includes(anchor), `${page}: ${link}`);
    }
  }
});
