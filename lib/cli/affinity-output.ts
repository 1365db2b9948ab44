import { NotMeasured } from '../affinity/notmeasured.js';
import { resultPage } from '../affinity/page/page.js';
import type { AffinityResult, Outcome } from '../affinity/result.js';
import type { ResultFormat } from './affinity.js';
import { resultText } from './affinity-text.js';
import { Ended, EXIT } from './exit-code.js';
import { UsageError } from './usage-error.js';

const CODES: Readonly<Record<Outcome, number>> = {
  'as expected': EXIT.ok,
  'not as expected': EXIT.failure,
  'not measured': EXIT.notMeasured,
};

const FORMS: Readonly<Record<ResultFormat, (result: AffinityResult) => string>> = {
  text: resultText,
  json: (result) => `${JSON.stringify(result, null, 1)}\n`,
  html: resultPage,
};

/** Does what a result needs. @throws NotMeasured in the place of errors that are not of the command line */
export async function measured<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new NotMeasured((error as Error).message);
  }
}

/** Prints a result. @throws Ended with the exit code of its verdict, unless that is 0 */
export function printResult(result: AffinityResult, format: ResultFormat): void {
  process.stdout.write(FORMS[format](result));
  const code = CODES[result.verdict.outcome];
  if (code !== EXIT.ok) throw new Ended(code);
}
