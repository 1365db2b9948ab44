import { hostname } from 'node:os';
import { portText } from '../affinity/asking/identify/kinds.js';
import { respond } from '../affinity/asking/responder.js';
import type { RespondFlags } from './affinity.js';

/** Answers until a signal ends the process. Prints a line once all ports are open. */
export async function answerQuestions({ name = hostname(), ports }: RespondFlags): Promise<void> {
  const close = await respond(name, ports);
  process.stdout.write(`${name} answers at ${ports.map(portText).join(', ')}\n`);
  // In a container this is process 1, which signals do not end by themselves.
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  close();
}
