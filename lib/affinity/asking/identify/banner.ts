import { type Dialect, tidyName } from './dialect.js';

/** Bytes without a line end that are taken for the whole line. */
const LONGEST_LINE = 512;

/** The first line of a server that speaks first, as mail and FTP servers do. */
export const BANNER: Dialect = {
  question: () => null,
  nameIn(answer, _asker, isWhole) {
    const text = answer.toString('latin1');
    const [line = '', ...rest] = text.split(/\r?\n/);
    if (rest.length === 0 && !isWhole && answer.length < LONGEST_LINE) return undefined;
    return tidyName(line);
  },
};
