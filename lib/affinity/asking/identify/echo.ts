import { type Dialect, tidyName } from './dialect.js';

/**
 * A server that sends a question back and adds its name: `name:question`. This is what
 * `kube-portal affinity respond` and many test servers do.
 */
export const ECHO: Dialect = {
  question: ({ token }) => Buffer.from(`${token}\n`),
  nameIn(answer, { token }, isWhole) {
    const text = answer.toString('latin1');
    if (!text.includes(token)) return isWhole ? null : undefined;
    return tidyName(text.replaceAll(token, '').replace(/^[\s:]+|[\s:]+$/g, ''));
  },
};
