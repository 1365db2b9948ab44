/** Codes that the process ends with. `failure` stands for a Service that is not as expected, too. */
export const EXIT = { ok: 0, failure: 1, usage: 2, notMeasured: 3 } as const;

/** A command has said all that there is to say. The process ends with this code, and without a message. */
export class Ended extends Error {
  override readonly name = 'Ended';

  constructor(readonly exitCode: number) {
    super(`exit code ${exitCode}`);
  }
}
