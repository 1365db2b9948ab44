import { type RunCommand, runCommand } from '../../lib/redirect/command.js';

/** The back ends of iptables. */
export const KINDS = ['nft', 'legacy'] as const;
export type Kind = (typeof KINDS)[number];
export const OTHER = { nft: 'legacy', legacy: 'nft' } as const;

/** A node that has one back end only. */
export function only(kind: Kind, run: RunCommand = runCommand): RunCommand {
  return async (program, args, input) => (program.includes(OTHER[kind]) ? null : run(program, args, input));
}

/** A kernel that refuses every rule with this word in it. */
export function without(word: string): RunCommand {
  return async (program, args, input) =>
    input?.includes(word)
      ? { code: 2, stdout: '', stderr: `${program}: Couldn't load match '${word}'` }
      : runCommand(program, args, input);
}
