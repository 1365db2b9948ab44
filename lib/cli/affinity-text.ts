import { effectsOf } from '../affinity/eventeffects.js';
import { groupBy } from '../affinity/grouping.js';
import { decimal, seconds } from '../affinity/quantities.js';
import type {
  AffinityResult,
  EventStage,
  LinkResult,
  Move,
  RoundsStage,
  Timeout,
} from '../affinity/result.js';
import { table } from './table.js';

/** Rows that a table has at most. `-o json` has all. */
const MOST_ROWS = 20;

/** A result for people: what was asked, who answered, what moved, and the verdict as the last line. */
export function resultText(result: AffinityResult): string {
  const parts = [heading(result), matrix(result)];
  for (const [index, stage] of result.stages.entries()) {
    parts.push(
      stage.kind === 'rounds'
        ? distribution(stage, index)
        : event(
            stage,
            result.moves.filter((move) => move.stage === index),
            result,
          ),
    );
  }
  if (result.timeout !== null) parts.push(timeout(result.timeout));
  parts.push(verdict(result));
  return parts.filter((part) => part !== '').join('\n');
}

function heading({ asked, tookMs, backends, aliases }: AffinityResult): string {
  const name = asked.service === null ? asked.address : `${asked.service} (${asked.address})`;
  const ports = asked.ports.map(({ port, identify }) => `${port} by ${identify}`).join(', ');
  const known = asked.endpoints === null ? '' : ` of ${asked.endpoints} endpoints`;
  const lines = [
    `${name}: ${ports}`,
    `${asked.clients.length} clients, ${asked.rounds} rounds, ${backends.length} backends${known}, ${seconds(tookMs)}`,
    ...aliases.map(({ alias, backend }) => `${alias} is taken for another name of ${backend}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Clients × ports. Clients that are of interest come first. */
function matrix({ asked, links, stages }: AffinityResult): string {
  const split = new Set(
    stages.flatMap((stage) => (stage.kind === 'rounds' ? stage.split.map(({ client }) => client) : [])),
  );
  const byClient = groupBy(links, ({ client }) => client);
  const clients = [...byClient.keys()].toSorted(
    (one, other) => Number(split.has(other)) - Number(split.has(one)),
  );
  const rows = clients
    .slice(0, MOST_ROWS)
    .map((client) => [client, ...(byClient.get(client) ?? []).map(cell), split.has(client) ? 'split' : '']);
  const titles = ['CLIENT', ...asked.ports.map(({ port }) => port.toUpperCase()), ''];
  return table(titles, rows) + more(clients.length - rows.length, 'clients');
}

/** For example `web-0 10, web-1 3, no answer 2`. */
function cell({ met, errors }: LinkResult): string {
  return Object.entries({ ...met, ...errors })
    .map(([name, times]) => `${name} ${times}`)
    .join(', ');
}

function distribution({ distribution }: RoundsStage, index: number): string {
  const rows = distribution.map(({ backend, clients, evenClients, answers, evenAnswers }) => [
    ...[backend, String(clients), decimal(evenClients)],
    ...[String(answers), decimal(evenAnswers)],
  ]);
  if (rows.length === 0) return '';
  const title = index === 0 ? '' : 'After the event:\n';
  return title + table(['BACKEND', 'CLIENTS', 'EVEN', 'ANSWERS', 'EVEN'], rows);
}

function event(stage: EventStage, moves: readonly Move[], { asked }: AffinityResult): string {
  const { command, exitCode, commandStartMs, commandEndMs, intervalMs } = stage;
  const { movedClients, needlessClients, longestFirst, medianGapMs } = effectsOf(stage, moves);
  const end = exitCode === null ? 'ended by a signal' : `exit code ${exitCode}`;
  const lines = [
    `While \`${command}\` ran (${seconds(commandEndMs - commandStartMs)}, ${end}):`,
    `${movedClients} of ${asked.clients.length} clients moved, ${needlessClients} of them away from a backend that went on answering`,
    `longest time between two answers of a link, asked every ${intervalMs} ms: ` +
      `${Math.round(longestFirst[0]?.longestMs ?? 0)} ms at most, ${Math.round(medianGapMs)} ms in the median`,
  ];
  const rows = longestFirst
    .slice(0, MOST_ROWS)
    .map(({ client, port, longestMs, ended, unanswered }) => [
      ...[client, port, `${Math.round(longestMs)} ms${ended ? '' : ' and no answer since'}`],
      String(unanswered),
    ]);
  const gapTable = table(['CLIENT', 'PORT', 'LONGEST GAP', 'UNANSWERED'], rows);
  return `${lines.join('\n')}\n${gapTable}${more(longestFirst.length - rows.length, 'links')}${moveTable(moves, commandStartMs)}`;
}

/** @param startMs the moment that times count from */
function moveTable(moves: readonly Move[], startMs: number): string {
  if (moves.length === 0) return '';
  const rows = moves
    .slice(0, MOST_ROWS)
    .map(({ atMs, client, port, from, to }) => [seconds(atMs - startMs), client, port, from, to]);
  return `\n${table(['MOVED AFTER', 'CLIENT', 'PORT', 'FROM', 'TO'], rows)}${more(moves.length - rows.length, 'moves')}`;
}

function timeout({ port, keptMs, movedMs }: Timeout): string {
  if (movedMs === null) return `Time-out at ${port}: longer than ${seconds(keptMs)}\n`;
  return `Time-out at ${port}: between ${seconds(keptMs)} and ${seconds(movedMs)}\n`;
}

function verdict({ asked, verdict: { found, outcome, reasons } }: AffinityResult): string {
  const isFound = found === 'unknown' ? '' : `, found ${found}`;
  return `${reasons.join(' ')}\n${outcome}: expected ${asked.expect}${isFound}\n`;
}

function more(count: number, what: string): string {
  return count > 0 ? `${count} more ${what}; -o json has all\n` : '';
}
