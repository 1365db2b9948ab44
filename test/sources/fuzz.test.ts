import fc from 'fast-check';
import t from 'tap';
import { parseJson, parseYaml } from '../../lib/sources/documents.js';
import { type FileState, readManifest } from '../../lib/sources/manifest-file.js';
import { mergeFiles } from '../../lib/sources/merge.js';
import { splitDocuments } from '../../lib/sources/splitting.js';

const VICTIM = `apiVersion: v1
kind: Service
metadata:
  name: victim
  labels: {app: "web", tier: 'front'}
spec:
  clusterIP: 10.96.0.10
  ports:
  - name: http
    port: 80
    protocol: TCP
  sessionAffinity: ClientIP
`;

const WITNESSES = ['first', 'last'].map(
  (name) =>
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {clusterIP: 10.96.0.11, ports: [{port: 80}]}\n`,
);

/** Cuts a few characters and inserts others, mostly characters with a meaning in YAML. */
const mutation = fc.record({
  at: fc.nat(VICTIM.length),
  cut: fc.nat(8),
  insert: fc.oneof(
    fc.constantFrom(
      ...[
        '',
        '"',
        "'",
        '{',
        '}',
        '[',
        ']',
        ':',
        ': ',
        '- ',
        '\n',
        '\t',
        '&a ',
        '*a',
        '|',
        '>',
        '%',
        '#',
        '!!',
      ],
      ...['<<: ', '? ', '...\n', '__proto__: ', '\u0000', '\ufeff', '\r', '99999999999', 'null', '\n  '],
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
  ),
});

const mutated = fc.array(mutation, { minLength: 1, maxLength: 6 }).map((mutations) => {
  const text = mutations.reduce(
    (text, { at, cut, insert }) => text.slice(0, at) + insert + text.slice(at + cut),
    VICTIM,
  );
  return text.replaceAll(/^---/gm, '--');
});

function manifest(victim: string): string {
  return [WITNESSES[0], victim, WITNESSES[1]].join('\n---\n');
}

function names(state: FileState): Set<string> {
  return new Set(state.objects.map(({ object }) => object.id));
}

t.test('a broken document never throws, and the documents beside it are served', async (t) => {
  fc.assert(
    fc.property(mutated, (victim) => {
      const served = names(readManifest('m.yaml', manifest(victim)));
      return served.has('Service default/first') && served.has('Service default/last');
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

t.test('if a document is refused, its last good objects stay in service', async (t) => {
  const before = readManifest('m.yaml', manifest(VICTIM));
  fc.assert(
    fc.property(mutated, (victim) => {
      const state = readManifest('m.yaml', manifest(victim), before);
      const unnamed = state.problems.some(({ object }) => !object.includes('/'));
      return !unnamed || names(state).has('Service default/victim');
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('any sequence of texts can be merged, and no text changes a prototype', async (t) => {
  const empty = { services: new Map(), slices: new Map() };
  fc.assert(
    fc.property(fc.array(fc.oneof(mutated, fc.string(), fc.json()), { maxLength: 4 }), (texts) => {
      let state: FileState | undefined;
      let objects = mergeFiles([], empty).objects;
      for (const text of texts) {
        state = readManifest('m.yaml', text, state);
        objects = mergeFiles([state], objects).objects;
      }
      return !('polluted' in {});
    }),
    { numRuns: 2000 },
  );
  for (const text of [
    '__proto__: {polluted: 1}',
    'a: {<<: {__proto__: {polluted: 1}}}',
    '{"__proto__": {"polluted": 1}}',
  ]) {
    parseJson(text) ?? parseYaml(text);
    t.notOk('polluted' in {}, text);
  }
});

t.test('splitting a file loses no text and counts the lines', async (t) => {
  fc.assert(
    fc.property(
      fc
        .array(fc.constantFrom('---', '--- a', '----', ' ---', 'x', '', '...'))
        .map((lines) => lines.join('\n')),
      (text) => {
        const chunks = splitDocuments(text);
        let position = 0;
        for (const chunk of chunks) {
          if (text.slice(0, position).split('\n').length - 1 !== chunk.linesBefore) return false;
          position += chunk.text.length;
        }
        return chunks.map((chunk) => chunk.text).join('') === text;
      },
    ),
  );
  t.same(
    splitDocuments('a\n---\nb\n--- c\n----\n').map((chunk) => chunk.text),
    ['a\n', '---\nb\n', '--- c\n----\n'],
  );
});
