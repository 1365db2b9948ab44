import t, { type Test } from 'tap';
import { CARRIER } from './kubeportal.js';

const CARRIERS = CARRIER === undefined ? ['auto', 'relay'] : [CARRIER];

/** The ways to the endpoints, as flags: by rules of iptables with each carrier, and by addresses. */
export const WAYS: readonly (readonly string[])[] = [
  ...CARRIERS.map((carrier) => ['--redirect=iptables', `--carrier=${carrier}`]),
  ['--redirect=address'],
];

/** A test that must pass with the carrier of the program and with the relay. @param run gets a flag for it */
export function bothCarriers(title: string, run: (t: Test, carrier: string) => Promise<void>): void {
  for (const carrier of CARRIERS) t.test(`${title}, ${carrier}`, (t) => run(t, `--carrier=${carrier}`));
}
