import { element, type Markup } from '../../markup/markup.js';
import { groupBy } from '../grouping.js';
import type { AffinityResult, LinkResult, RoundsStage } from '../result.js';
import type { Looks } from './looks.js';
import { stageTitle } from './stagetitle.js';

/** Backends that one cell has room for. If it has more, they are narrow stripes without letters. */
const MOST_LETTERS = 4;

/** What became of a client in a stage of rounds. Its tile is listed under the first that holds. */
const FATES = [
  { name: 'split', title: 'several backends at a time' },
  { name: 'silent', title: 'no answer at some port' },
  { name: 'moved', title: 'moved for good' },
  { name: 'kept', title: 'one backend on all ports' },
] as const;

type Fate = (typeof FATES)[number]['name'];

/** One client in one stage: the backends that each of its links met, in the order of time. */
interface Tile {
  readonly client: string;
  readonly cells: readonly { readonly port: string; readonly backends: readonly string[] }[];
}

/** Client × port × backend: a tile for each client, and a cell in it for each port. */
export function matrixSection({ asked, links, stages }: AffinityResult, looks: Looks): Markup[] {
  const byClient = groupBy(links, ({ client }) => client);
  const parts = stages.flatMap((stage, index) => {
    if (stage.kind !== 'rounds') return [];
    const tiles = [...byClient].map(([client, own]) => tileOf(client, own, stage));
    return [element('h3', {}, stageTitle(stages, index)), ...tileGroups(tiles, stage, looks)];
  });
  const ports = asked.ports.map(({ port }) => port).join(', ');
  const hint = `A tile is a client. Its cells are its ports: ${ports}. A cell has all that answered.`;
  return [element('p', { class: 'faint' }, hint), ...parts];
}

function tileOf(client: string, links: readonly LinkResult[], stage: RoundsStage): Tile {
  const cells = links.map(({ port, runs }) => {
    const met = runs.filter(({ fromMs, toMs }) => toMs >= stage.startMs && fromMs <= stage.endMs);
    return { port, backends: [...new Set(met.flatMap(({ backend }) => backend ?? []))] };
  });
  return { client, cells };
}

function tileGroups(tiles: readonly Tile[], stage: RoundsStage, looks: Looks): Markup[] {
  const width = Math.max(...tiles.map(({ client }) => client.length), 0);
  const ports = tiles[0]?.cells.length ?? 0;
  const split = new Set(stage.split.map(({ client }) => client));
  const byFate = groupBy(tiles, (tile) => fateOf(tile, split));
  return FATES.flatMap(({ name, title }) => {
    const own = byFate.get(name) ?? [];
    if (own.length === 0) return [];
    const heading = `${own.length} of ${tiles.length} clients: ${title}`;
    const style = `--client: ${width}ch; --ports: ${ports}; --backends: ${mostBackends(own)}`;
    const attributes = { class: `tiles ${name}`, style };
    return [
      element('h4', { class: name }, heading),
      element('ul', attributes, ...own.map((tile) => tilePicture(tile, looks))),
    ];
  });
}

/** The most backends that one cell has, and has room for. All cells are as wide as it. */
function mostBackends(tiles: readonly Tile[]): number {
  const counts = tiles.flatMap(({ cells }) => cells.map(({ backends }) => backends.length));
  return Math.min(Math.max(...counts, 1), MOST_LETTERS);
}

function fateOf({ client, cells }: Tile, split: ReadonlySet<string>): Fate {
  if (split.has(client)) return 'split';
  if (cells.some(({ backends }) => backends.length === 0)) return 'silent';
  return new Set(cells.flatMap(({ backends }) => backends)).size > 1 ? 'moved' : 'kept';
}

function tilePicture({ client, cells }: Tile, looks: Looks): Markup {
  const pictures = cells.map(({ port, backends }) => {
    const title = `${client}, ${port}: ${backends.length === 0 ? 'no answer' : backends.join(', ')}`;
    return element('span', { class: 'cell', title }, ...parts(backends, looks));
  });
  return element('li', {}, element('span', { class: 'client' }, client), ...pictures);
}

function parts(backends: readonly string[], looks: Looks): Markup[] {
  if (backends.length === 0) return [element('b', { class: 'silent' }, '–')];
  return backends.map((backend) => {
    const { letter, colour } = looks.of(backend);
    return element('b', { class: colour }, backends.length > MOST_LETTERS ? '' : letter);
  });
}
