/** The last ones: those that are replaced may still be in an answer that is under way. */
const REMEMBERED = 16;
/** Something shorter would stand in many a word that is no secret. */
const MIN_LENGTH = 4;
const HIDDEN = '[hidden]';

/** Credentials by their form, for those that this program was never told: a proxy's, or a plug-in's own. */
const FORMS: readonly [RegExp, string][] = [
  [/\b(Bearer|Basic) [\w.~+/-]{8,}=*/g, `$1 ${HIDDEN}`],
  // A JSON Web Token, whole or cut.
  [/\beyJ[\w-]{8,}[\w.-]*/g, HIDDEN],
  [/\/\/[^/@\s]*@/g, `//${HIDDEN}@`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?-----END [A-Z ]*PRIVATE KEY-----|.*)/gs, HIDDEN],
];

/** Removes credentials from messages. Servers and programs repeat what they got in their error messages. */
export class Secrets {
  readonly #known = new Set<string>();

  remember(secret: string): void {
    if (secret.length < MIN_LENGTH) return;
    this.#known.delete(secret);
    this.#known.add(secret);
    const [oldest] = this.#known;
    if (this.#known.size > REMEMBERED) this.#known.delete(oldest as string);
  }

  /** The text without secrets. */
  hide(text: string): string {
    let hidden = text;
    for (const secret of this.#known) hidden = hidden.replaceAll(secret, HIDDEN);
    for (const [form, replacement] of FORMS) hidden = hidden.replaceAll(form, replacement);
    return hidden;
  }
}
