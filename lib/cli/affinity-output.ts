import { resultPage } from '../affinity/page/page.js';
import type { AffinityResult, Outcome } from '../affinity/result.js';
import type { ResultFormat } from './affinity.js';
import { resultText } from './affinity-text.js';
import { Ended, EXIT } from './exit-code.js';

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

/** Prints a result. @throws Ended with the exit code of its verdict, unless that is 0 */
export function printResult(result: AffinityResult, format: ResultFormat): void {
  process.stdout.write(FORMS[format](result));
  const code = CODES[result.verdict.outcome];
  if (code !== EXIT.ok) throw new Ended(code);
}
