/** The answer to a request. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Body;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The text of an answer. A long text comes in pieces. A piece is made only when the client has read the ones
 * before it.
 *
 * - string: a short text.
 * - Iterable: thousands of pieces that can be made at once. At most four such answers are sent at the same
 *   time; others wait. The client must read the whole answer within the idle time of a connection, so that a
 *   slow client does not block others for long.
 * - AsyncIterable: pieces that are not ready yet. The whole answer has no time limit. If the client reads
 *   nothing for the idle time of a connection, the connection is closed.
 */
export type Body = string | Iterable<string> | AsyncIterable<string>;

/** An answer in plain text. */
export function text(body: Body, status = 200): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

/** An answer in JSON. */
export function json(value: unknown, status = 200): HttpAnswer {
  return jsonText(`${JSON.stringify(value)}\n`, status);
}

/** An answer whose body is already JSON text. */
export function jsonText(body: Body, status = 200): HttpAnswer {
  return { status, contentType: 'application/json', body };
}
