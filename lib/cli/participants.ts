import { Command } from 'commander';
import type { ParticipantReport, ParticipantsReport } from '../admin/participants.js';
import { printable } from '../model/printable.js';
import { print } from './ask.js';
import { type AdminFlags, adminOptions, askRunning } from './ask-admin.js';
import { durationText } from './duration-text.js';
import { compareCells, table } from './table.js';

/** Bytes of a name that a participant has given itself, as far as the table shows it. */
const MAX_NAME_BYTES = 64;
const NOT_ANNOUNCED = '<unknown>';

/** `kube-portal participants`: the DDS participants that send to Services with an RTPS annotation. */
export function participantsCommand(): Command {
  const command = new Command('participants')
    .description('Show the DDS participants that send to Services with an RTPS annotation. Only root may.')
    .argument('[service]', 'namespace/name: only participants of this Service')
    .action(list);
  for (const option of adminOptions()) command.addOption(option);
  return command;
}

async function list(service: string | undefined, flags: AdminFlags): Promise<void> {
  const query = new URLSearchParams(service === undefined ? {} : { service });
  print(
    flags.output,
    await askRunning<ParticipantsReport>(flags, `/v1/participants?${query}`),
    participantsText,
  );
}

/** A table of the participants, and below it the warnings. What participants say of themselves is escaped. */
export function participantsText({ participants }: ParticipantsReport): string {
  if (participants.length === 0) return 'no participant of a Service with an RTPS annotation is known\n';
  const sorted = participants.toSorted(
    (a, b) => compareCells(a.service, b.service) || compareCells(a.source, b.source),
  );
  const warnings = sorted.flatMap(({ prefix, warnings }) =>
    warnings.map((warning) => `\n${prefix} ${printable(warning)}\n`),
  );
  return [table(TITLES, sorted.map(rowOf)), ...warnings].join('');
}

const TITLES = [
  ...['SERVICE', 'PARTICIPANT', 'VENDOR', 'HOST', 'PROCESS', 'SOURCE', 'REPLICA'],
  ...['LOCATORS', 'LEASE', 'SILENT', 'DATAGRAMS', 'BYTES'],
];

function rowOf(participant: ParticipantReport): string[] {
  const { service, prefix, vendor, host, process, pid, source, endpoint } = participant;
  const { metatraffic, data, leaseMs, lastHeardMs, datagrams, bytes } = participant;
  const running = [process, pid].filter((part) => part !== null).join(' ');
  return [
    ...[service, prefix, vendor, nameText(host ?? ''), nameText(running), source, endpoint],
    [...new Set([...metatraffic, ...data])].join('\n'),
    leaseMs === null ? 'endless' : durationText(leaseMs),
    ...[durationText(lastHeardMs), String(datagrams), String(bytes)],
  ];
}

function nameText(name: string): string {
  return name === '' ? NOT_ANNOUNCED : printable(name, MAX_NAME_BYTES);
}
