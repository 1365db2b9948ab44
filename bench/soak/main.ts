/** `npm run soak`: lets kube-portal serve for a long time while all kinds of things happen. Needs root. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { countErrors, reportText } from './report.js';
import { Soak } from './soak.js';
import { Stage } from './stage.js';

interface Flags {
  readonly minutes: number;
  readonly carrier: string;
  readonly output: 'table' | 'json';
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

const flags = new Command('soak')
  .description(
    'Let clients of all kinds use kube-portal for a long time, while endpoints fail, leave and come back, ' +
      'Services come and go, and kube-portal is killed once and restarted once.',
  )
  .option('--minutes <number>', 'how long', positive, 15)
  .addOption(
    new Option('--carrier <carrier>', 'what moves the bytes')
      .choices(['kernel', 'auto', 'relay'])
      .default('kernel'),
  )
  .addOption(
    new Option('-o, --output <format>', 'form of the output').choices(['table', 'json']).default('table'),
  )
  .parse()
  .opts<Flags>();

const stage = await Stage.open(flags.carrier);
try {
  const plan = { carrier: flags.carrier, seconds: Math.round(flags.minutes * 60) };
  const result = await new Soak(stage, plan, (progress) => process.stderr.write(`${progress}\n`)).run();
  process.stdout.write(flags.output === 'json' ? `${JSON.stringify(result, null, 2)}\n` : reportText(result));
  if (countErrors(result) > 0 || result.leftovers.length > 0) process.exitCode = 1;
} finally {
  await stage.close();
}
