import { Program, run, runOrThrow } from '../lab/program.js';
import type { Place } from './apiserver.js';

/** Where the test itself runs, which should be a network namespace of its own. */
export const localPlace: Place = {
  exec: (command, args, options) => run([command, ...args], options),
  must: (command, args, options) => runOrThrow([command, ...args], options),
  spawn: (command, args) => new Program([command, ...args]),
};
