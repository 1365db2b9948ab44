import { Command } from 'commander';
import type { PinsReport, ReleaseReport } from '../admin/pins.js';
import { print } from './ask.js';
import { type AdminFlags, adminOptions, askRunning } from './ask-admin.js';
import { durationText } from './duration-text.js';
import { compareCells, table } from './table.js';

interface PinsFlags extends AdminFlags {
  readonly client?: string;
}

/** `kube-portal pins`: which client is pinned to which endpoint, by session affinity. */
export function pinsCommand(): Command {
  const command = new Command('pins')
    .description('Show which clients are pinned to which endpoints by session affinity. Only root may.')
    .argument('[service]', 'namespace/name: only pins of this Service')
    .option('--client <client>', 'only pins of this client: an IP address, or the digits of an RTPS prefix')
    .addCommand(releaseCommand())
    .action(list);
  for (const option of adminOptions()) command.addOption(option);
  return command;
}

function releaseCommand(): Command {
  const command = new Command('release')
    .description('Remove the pins of a client. Its next connection or flow may get another endpoint.')
    .argument('<service>', 'namespace/name')
    .argument('<client>', 'an IP address, or the digits of an RTPS prefix, as the list shows it')
    .action(release);
  for (const option of adminOptions()) command.addOption(option);
  return command;
}

async function list(service: string | undefined, flags: PinsFlags): Promise<void> {
  const given = Object.entries({ service, client: flags.client }).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(Object.fromEntries(given) as Record<string, string>);
  print(flags.output, await askRunning<PinsReport>(flags, `/v1/pins?${query}`), pinsText);
}

/** @throws Error if the client has no pin */
async function release(service: string, client: string, flags: AdminFlags): Promise<void> {
  const path = `/v1/pins?${new URLSearchParams({ service, client })}`;
  const report = await askRunning<ReleaseReport>(flags, path, 'DELETE');
  if (report.released === 0) throw new Error(`${service} has no pin of ${client}`);
  print(flags.output, report, ({ released }) => `${released} released\n`);
}

/** A table, by Service and client. */
export function pinsText({ pins }: PinsReport): string {
  if (pins.length === 0) return 'no client is pinned\n';
  const sorted = pins.toSorted(
    (a, b) => compareCells(a.portal ?? a.service, b.portal ?? b.service) || compareCells(a.client, b.client),
  );
  const rows = sorted.map((pin) => [
    pin.portal ?? pin.service,
    pin.client,
    pin.endpoint,
    durationText(pin.ageMs),
    durationText(pin.leftMs),
    String(pin.moves),
  ]);
  return table(['SERVICE', 'CLIENT', 'ENDPOINT', 'AGE', 'LEFT', 'MOVES'], rows);
}
