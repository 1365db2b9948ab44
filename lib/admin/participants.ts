import { natWarning, type Participant } from '../dataplane/shared/participants.js';
import { parseHostPort } from '../net/hostport.js';
import { jsonText } from '../server/answer.js';
import { readQuery, service } from '../server/query.js';
import type { Route } from '../server/route.js';

/** The participants of a node, see Dataplane.participants. */
export interface ParticipantsSource {
  participants(service: string | null): AsyncIterable<readonly Participant[]>;
}

/** The answer of `/v1/participants`. */
export interface ParticipantsReport {
  readonly participants: readonly ParticipantReport[];
}

export interface ParticipantReport extends Omit<Participant, 'unreachableAt'> {
  /** Sentences that say what is wrong, and what to do. */
  readonly warnings: readonly string[];
}

/**
 * `/v1/participants?service=NAMESPACE/NAME`: the DDS participants that send to Services, one for each line.
 */
export function participantsRoute(source: ParticipantsSource): Route {
  return ({ query }) => {
    const wanted = readQuery<{ service: string | null }>(query, { service });
    return jsonText(reportText(source.participants(wanted.service)));
  };
}

/** A {@link ParticipantsReport}, a page at a time. */
async function* reportText(pages: AsyncIterable<readonly Participant[]>): AsyncIterable<string> {
  yield '{"participants":[';
  let separator = '\n';
  for await (const page of pages) {
    let lines = '';
    for (const participant of page) {
      lines += separator + JSON.stringify(reportOf(participant));
      separator = ',\n';
    }
    yield lines;
  }
  yield '\n]}\n';
}

function reportOf({ unreachableAt, ...participant }: Participant): ParticipantReport {
  const client = parseHostPort(participant.source)?.host ?? participant.source;
  return {
    ...participant,
    warnings: unreachableAt.length === 0 ? [] : [natWarning(client, unreachableAt)],
  };
}
