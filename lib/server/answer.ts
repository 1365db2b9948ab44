/** What a path answers. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Body;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The text of an answer. A long one comes in pieces, and no more of them are made than the client takes.
 *
 * - string: short, there as a whole.
 * - Iterable: thousands of pieces that are there for the making. Four such answers are under way at once, and
 *   each must be taken within the time that a connection may be silent, so that slow clients do not keep
 *   others waiting.
 * - AsyncIterable: pieces that have to be waited for, with no limit on the whole. A client that takes nothing
 *   for the time that a connection may be silent is cut off.
 */
export type Body = string | Iterable<string> | AsyncIterable<string>;

/** An answer of plain text. */
export function text(body: Body, status = 200): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

/** An answer of JSON. */
export function json(value: unknown, status = 200): Answer {
  return jsonText(`${JSON.stringify(value)}\n`, status);
}

/** An answer of what is JSON already. */
export function jsonText(body: Body, status = 200): Answer {
  return { status, contentType: 'application/json', body };
}
