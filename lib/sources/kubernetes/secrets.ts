/** The last secrets stay known, because an answer that is under way may still quote a replaced one. */
const MAX_REMEMBERED = 16;
/** Characters. A shorter secret is part of many ordinary words. */
const MIN_LENGTH = 4;
const REDACTED = '[hidden]';

/** Patterns of credentials that are not this program's own: a proxy's, or those that a plug-in uses. */
const PATTERNS: readonly [RegExp, string][] = [
  [/\b(Bearer|Basic) [\w.~+/-]{8,}=*/g, `$1 ${REDACTED}`],
  // A JSON Web Token, complete or cut.
  [/\beyJ[\w-]{8,}[\w.-]*/g, REDACTED],
  [/\/\/[^/@\s]*@/g, `//${REDACTED}@`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?-----END [A-Z ]*PRIVATE KEY-----|.*)/gs, REDACTED],
];

/** Removes credentials from messages. Servers and programs quote their input in their error messages. */
export class Secrets {
  readonly #known = new Set<string>();

  remember(secret: string): void {
    if (secret.length < MIN_LENGTH) return;
    this.#known.delete(secret);
    this.#known.add(secret);
    const [oldest] = this.#known;
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(oldest as string);
  }

  /** The text, with `[hidden]` in place of each known secret and of all that looks like a credential. */
  redact(text: string): string {
    let redacted = text;
    for (const secret of this.#known) redacted = redacted.replaceAll(secret, REDACTED);
    for (const [pattern, replacement] of PATTERNS) redacted = redacted.replaceAll(pattern, replacement);
    return redacted;
  }
}
