import { CARRIER_MODES } from '../portal/carrier.js';
import { type Affinity, DEFAULT_POLICY, type RtpsRouting, type ServicePolicy } from '../portal/policy.js';
import { NONE } from './compact.js';
import { type Field, readValid, show } from './field.js';
import { nearest } from './nearest.js';
import type { ServicePort } from './objects.js';
import type { Refusal } from './problem.js';

/** Default of `sessionAffinityConfig.clientIP.timeoutSeconds` in the API, and the most that it allows. */
const DEFAULT_AFFINITY_SECONDS = 10800;
const MAX_AFFINITY_SECONDS = 86400;

/** What an annotation of a Service begins with if it is meant for kube-portal. */
const OWN = 'kube-portal.dev/';
const NAMES = ['affinity-key', 'rtps-routing', 'active-standby', 'carrier'] as const;

/** What the annotations of a Service must agree with. */
interface Context {
  readonly affinity: Affinity | null;
  readonly hasUdpPort: boolean;
}

/**
 * The one place that reads the attributes of the policy, from fields and annotations.
 * @param refused takes the annotations that cannot be used: the Service is served without them
 * @throws FieldError if a field is invalid
 */
export function readPolicy(service: Field, ports: readonly ServicePort[], refused: Refusal[]): ServicePolicy {
  const affinity = readAffinity(service.at('spec'));
  const annotations = service.at('metadata').at('annotations');
  const [names = NONE] = readValid([annotations], refused, ownNames);
  if (names.length === 0 && affinity === null) return DEFAULT_POLICY;
  refuseUnknown(names, annotations, refused);
  const context = { affinity, hasUdpPort: ports.some(({ protocol }) => protocol === 'UDP') };
  const read = <T>(name: (typeof NAMES)[number], reader: (field: Field) => T): T | undefined =>
    names.includes(name) ? readValid([annotations.at(OWN + name)], refused, reader)[0] : undefined;
  const by = read('affinity-key', (field) => readAffinityKey(field, context)) ?? 'client-ip';
  const activeStandby = read('active-standby', (field) => choice(field, 'true', 'false')) === 'true';
  const rtpsRouting = read('rtps-routing', (field) => readRouting(field, activeStandby, context)) ?? null;
  const carrier = read('carrier', (field) => choice(field, ...CARRIER_MODES)) ?? null;
  return {
    affinity: affinity && { by, timeoutMs: affinity.timeoutMs },
    rtpsRouting,
    activeStandby,
    carrier,
  };
}

function readAffinity(spec: Field): Affinity | null {
  const kind = spec.at('sessionAffinity').optional((field) => field.oneOf('None', 'ClientIP'), 'None');
  if (kind === 'None') return null;
  const seconds = spec
    .at('sessionAffinityConfig')
    .at('clientIP')
    .at('timeoutSeconds')
    .optional(
      (field) => field.integer(1, MAX_AFFINITY_SECONDS, 'a number of seconds'),
      DEFAULT_AFFINITY_SECONDS,
    );
  return { by: 'client-ip', timeoutMs: seconds * 1000 };
}

/** The names of kube-portal's annotations, without what they all begin with. */
function ownNames(annotations: Field): readonly string[] {
  const own = annotations.names().filter((name) => name.startsWith(OWN));
  return own.map((name) => name.slice(OWN.length));
}

function refuseUnknown(names: readonly string[], annotations: Field, refused: Refusal[]): void {
  for (const name of names) {
    if (NAMES.some((known) => known === name)) continue;
    const like = nearest(name, NAMES);
    const advice =
      like === null
        ? `it knows ${NAMES.map((known) => OWN + known).join(', ')}`
        : `did you mean ${OWN}${like}?`;
    const message = `kube-portal knows no annotation ${show(OWN + name)}; ${advice}`;
    refused.push({ field: annotations.path, message });
  }
}

function readAffinityKey(field: Field, { affinity, hasUdpPort }: Context): Affinity['by'] {
  const key = choice(field, 'client-ip', 'rtps-participant', 'rtps-host');
  if (affinity === null) {
    field.fail(`"${key}" needs spec.sessionAffinity: ClientIP, as nothing is pinned without it`);
  }
  if (key !== 'client-ip' && !hasUdpPort) field.fail(`"${key}" needs a UDP port, and the Service has none`);
  return key;
}

function readRouting(field: Field, activeStandby: boolean, { affinity, hasUdpPort }: Context): RtpsRouting {
  const routing = choice(field, 'pin', 'follow', 'fan-out');
  if (!hasUdpPort) field.fail(`"${routing}" needs a UDP port, and the Service has none`);
  if (routing !== 'pin' && activeStandby) {
    field.fail(
      `"${routing}" needs several endpoints at a time, and ${OWN}active-standby allows one; remove one of the two`,
    );
  }
  if (routing === 'pin' && affinity === null && !activeStandby) {
    field.fail('"pin" needs spec.sessionAffinity: ClientIP, as nothing is pinned without it');
  }
  return routing;
}

/** An annotation is a string, also where it reads as a boolean: the API server takes nothing else. */
function choice<T extends string>(field: Field, ...choices: readonly T[]): T {
  if (!field.isAbsent) field.string();
  return field.oneOf(...choices);
}
