import { type Content, element, type Markup } from '../../markup/markup.js';
import { seconds } from '../quantities.js';
import type { AffinityResult } from '../result.js';

/** What was asked for, and who answered at all. */
export function askedSection(result: AffinityResult): Markup {
  const facts = factsOf(result).flatMap(([name, ...content]) => [
    element('dt', {}, name),
    element('dd', {}, ...content),
  ]);
  return element('section', {}, element('h2', {}, 'What was asked'), element('dl', {}, ...facts));
}

function factsOf(result: AffinityResult): [name: string, ...content: Content[]][] {
  const { asked, aliases, startedAt, tookMs } = result;
  return [
    ['Service', asked.service === null ? asked.address : `${asked.service}, at ${asked.address}`],
    ['Ports', asked.ports.map(({ port, identify }) => `${port} by ${identify}`).join(', ')],
    ['Clients', clientsText(asked.clients)],
    ['Rounds', String(asked.rounds)],
    ['Expected', asked.expect],
    ['Backends', backendsText(result)],
    ...aliases.map(({ alias, backend }): [string, string] => ['Other name', `${alias} is ${backend}`]),
    ...result.stages.flatMap((stage): [string, Markup][] =>
      stage.kind === 'event' ? [['During', element('code', {}, stage.command)]] : [],
    ),
    ['Started', element('time', { datetime: startedAt }, startedAt), ` and took ${seconds(tookMs)}`],
  ];
}

function clientsText(clients: readonly string[]): string {
  const [first, ...others] = clients;
  const last = others.at(-1);
  if (last === undefined) return first ?? 'none';
  return `${clients.length}, from ${first} to ${last}`;
}

function backendsText({ asked: { endpoints }, backends }: AffinityResult): string {
  const known = endpoints === null ? '' : ` of ${endpoints} endpoints that are ready`;
  return `${backends.length}${known}`;
}
