import { Command } from 'commander';
import type { ParticipantReport, ParticipantsReport } from '../admin/participants.js';
import { printable } from '../model/printable.js';
import { print } from './ask.js';
import { type AdminFlags, adminOptions, askRunning } from './ask-admin.js';
import { table } from './table.js';

/** Bytes of a participant's name that a table shows. Participants choose their names themselves. */
const MAX_NAME_BYTES = 64;

/** `kube-portal participants`: the DDS participants that send to Services with an RTPS annotation. */
export function participantsCommand(): Command {
  const command = new Command('participants')
    .description('Show the DDS participants that send to Services with an annotation about RTPS.')
    .argument('[namespace/name]', 'only participants of this Service')
    .action(async (service: string | undefined, flags: AdminFlags) => {
      const query = service === undefined ? '' : `?${new URLSearchParams({ service })}`;
      const report = await askRunning<ParticipantsReport>(flags, `/v1/participants${query}`);
      print(flags.output, report, participantsText);
    });
  for (const option of adminOptions()) command.addOption(option);
  return command;
}

/** A table of the participants, and below it the warnings. What participants say of themselves is escaped. */
export function participantsText({ participants }: ParticipantsReport): string {
  if (participants.length === 0) {
    return 'no participant has announced itself; only Services with an annotation about RTPS are watched\n';
  }
  const sorted = participants.toSorted(
    (a, b) => compare(a.service, b.service) || compare(a.source, b.source),
  );
  const warnings = sorted.flatMap(({ prefix, warnings }) =>
    warnings.map((warning) => `${prefix} ${printable(warning)}\n`),
  );
  return [table(TITLES, sorted.map(rowOf)), ...warnings].join(warnings.length === 0 ? '' : '\n');
}

const TITLES = [
  ...['SERVICE', 'PARTICIPANT', 'VENDOR', 'HOST', 'PROCESS', 'SOURCE', 'REPLICA'],
  ...['LOCATORS', 'LEASE', 'DATAGRAMS', 'BYTES', 'HEARD'],
];

function rowOf(participant: ParticipantReport): string[] {
  const { service, prefix, vendor, host, process, pid, source, endpoint } = participant;
  const { metatraffic, data, leaseMs, datagrams, bytes, lastHeardMs } = participant;
  const running = [process, pid].filter((part) => part !== null).join(' ');
  return [
    ...[service, prefix, vendor, nameText(host ?? ''), nameText(running), source, endpoint],
    [...new Set([...metatraffic, ...data])].join('\n'),
    leaseMs === null ? 'endless' : secondsText(leaseMs),
    ...[String(datagrams), String(bytes), `${secondsText(lastHeardMs)} ago`],
  ];
}

function nameText(name: string): string {
  return name === '' ? NOT_SAID : printable(name, MAX_NAME_BYTES);
}

function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)}s`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const NOT_SAID = '<not said>';
