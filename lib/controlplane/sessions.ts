import type { ListedSessions, SessionFilter } from '../dataplane/shared/sessions.js';

/** Who carries sessions: the workers, or the kernel. */
export interface SessionHolder {
  sessions(filter: SessionFilter, maxListed: number): AsyncIterable<ListedSessions>;
}

/**
 * The open sessions of all holders, one holder after the other. Each is asked when the caller wants more.
 * @param maxListed how many sessions all parts together list; further sessions are counted only
 */
export async function* allSessions(
  holders: readonly SessionHolder[],
  filter: SessionFilter,
  maxListed: number,
): AsyncGenerator<ListedSessions> {
  let left = maxListed;
  for (const holder of holders) {
    for await (const part of holder.sessions(filter, left)) {
      left -= part.sessions.length;
      yield part;
    }
  }
}
