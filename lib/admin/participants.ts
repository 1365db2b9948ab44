import { natWarning, type Participant } from '../dataplane/shared/participants.js';
import { parseHostPort } from '../net/hostport.js';
import { jsonText } from '../server/answer.js';
import { listText } from '../server/listtext.js';
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
    return jsonText(listText('participants', source.participants(wanted.service), reportOf));
  };
}

function reportOf({ unreachableAt, ...participant }: Participant): ParticipantReport {
  const client = parseHostPort(participant.source)?.host ?? participant.source;
  return {
    ...participant,
    warnings: unreachableAt.length === 0 ? [] : [natWarning(client, unreachableAt)],
  };
}
