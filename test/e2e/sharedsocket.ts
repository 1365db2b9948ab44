import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';

/** What one participant sends to a backend that answers with its name. */
export interface Question {
  readonly address: string;
  readonly port: number;
  /** Its characters are bytes. */
  readonly text: string;
  /** How often it is asked, each time after the answer. */
  readonly times: number;
}

const PROGRAM = fileURLToPath(new URL('sharedsocket-program.js', import.meta.url));

/** Asks all questions from one socket, in their order. @returns by question: who has answered */
export async function askFromOneSocket(host: Host, questions: readonly Question[]): Promise<string[][]> {
  const output = await host.must(process.execPath, [PROGRAM, JSON.stringify(questions)]);
  return JSON.parse(output) as string[][];
}
