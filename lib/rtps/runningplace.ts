import type { Announcement } from './announcement.js';

/** Where a participant says that it runs. Null for what it does not say. */
export interface RunningPlace {
  readonly host: string | null;
  /** Name of the program. */
  readonly process: string | null;
  /** Id of the process in its own PID namespace. */
  readonly pid: string | null;
}

/** The properties in which vendors announce it: Cyclone DDS, Fast DDS, RTI Connext. */
const HOST = ['__Hostname', 'fastdds.physical_data.host', 'dds.sys_info.hostname'];
const PROCESS = ['__ProcessName', 'dds.sys_info.executable_filepath'];
const PID = ['__Pid', 'fastdds.physical_data.process', 'dds.sys_info.process_id'];

/** Where a participant runs, as far as it has announced that. */
export function runningPlaceOf({ properties }: Announcement): RunningPlace {
  const first = (names: readonly string[]) =>
    names.map((name) => properties.get(name)).find((value) => value !== undefined) ?? null;
  // Fast DDS appends a number that tells machines with the same name apart.
  return { host: first(HOST)?.replace(/:\d+$/, '') ?? null, process: first(PROCESS), pid: first(PID) };
}
