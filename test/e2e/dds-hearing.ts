import type { Program } from '../lab/program.js';

interface Second {
  readonly heard: number;
  readonly lost: number;
}

/** What a ddsperf with `-1` and `sub` heard in each second so far. */
function secondsOf(participant: Program): Second[] {
  const lines = participant.stdout.matchAll(/total \d+ lost \d+ delta (\d+) lost (\d+)/g);
  return [...lines].map(([, heard, lost]) => ({ heard: Number(heard), lost: Number(lost) }));
}

/**
 * Waits until a participant has had four seconds, from now on, in which it heard more than one participant
 * less can say.
 * @param others how many participants there are to hear
 * @param rate samples that each of them publishes in a second
 * @returns which share of the samples it heard from the first of those seconds on
 */
export async function hearsOthers(participant: Program, others: number, rate: number): Promise<number> {
  const from = secondsOf(participant).length;
  const newOnes = () => secondsOf(participant).slice(from);
  const isFull = ({ heard }: Second) => heard > (others - 0.5) * rate;
  await participant.waitFor(() => (newOnes().filter(isFull).length >= 4 ? true : null), `${others} others`);
  const counted = newOnes().slice(newOnes().findIndex(isFull));
  const sum = (field: keyof Second) => counted.reduce((total, second) => total + second[field], 0);
  return sum('heard') / (sum('heard') + sum('lost'));
}
