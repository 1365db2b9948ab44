import { Option } from 'commander';
import { askAdmin } from '../admin/client.js';
import { type OutputFlags, outputOption } from './ask.js';
import { DEFAULT_STATE_DIR } from './run-flags.js';
import { UsageError } from './usage-error.js';
import { packageVersion } from './version.js';

/** HTTP status. The body of the answer says what is wrong with the query. */
const BAD_REQUEST = 400;
/** HTTP status of a path or a method that the kube-portal of this node does not have. */
const UNKNOWN: ReadonlySet<number> = new Set([404, 405]);

/** The flags of all commands that use the admin channel of this node's kube-portal. */
export interface AdminFlags extends OutputFlags {
  readonly stateDir: string;
}

export function adminOptions(): Option[] {
  return [
    outputOption(),
    new Option(
      '--state-dir <path>',
      'directory of the running kube-portal; the same value as for run',
    ).default(DEFAULT_STATE_DIR),
  ];
}

/**
 * Asks the kube-portal of this node over its admin channel. Only root may.
 * @param path includes the query
 * @throws UsageError if kube-portal refuses the query; Error that says what to do if there is no answer
 */
export async function askRunning<Report>(
  { stateDir }: Pick<AdminFlags, 'stateDir'>,
  path: string,
  method = 'GET',
): Promise<Report> {
  const { status, body, server } = await askAdmin(stateDir, method, path);
  if (status === 200) return JSON.parse(body) as Report;
  if (status === BAD_REQUEST) throw new UsageError(body.trimEnd());
  if (UNKNOWN.has(status)) {
    throw new Error(
      `${server} runs on this node and does not know this request of kube-portal/${packageVersion()}: ` +
        'use the kube-portal command of the version that runs',
    );
  }
  throw new Error(`the kube-portal of this node failed: ${body.trimEnd()}`);
}
