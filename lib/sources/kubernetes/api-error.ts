import type { Dispatcher } from 'undici';

/** Bytes of an error's body. Its message is within them. */
const MAX_BODY_BYTES = 64 << 10;

/** The API server refused a request. The message is the server's own. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status. */
    readonly status: number,
    message: string,
    /** Milliseconds that the server asks to wait before the next request. 0: it does not say. */
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }
}

/** Codes of errors, from the system and from undici, if there is no connection or the connection breaks. */
const CONNECTION_ERRORS: ReadonlySet<unknown> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** Whether a request failed because no server took it. A server that answers too late did take it. */
export function isUnreachable(error: Error): boolean {
  return CONNECTION_ERRORS.has((error as { code?: unknown }).code);
}

/** Reads the error of an answer with a status of 300 or more. */
export async function readApiError({
  statusCode,
  headers,
  body,
}: Dispatcher.ResponseData): Promise<ApiError> {
  const retryAfterMs = Number(headers['retry-after'] ?? 0) * 1000 || 0;
  const text = await beginningOf(body);
  return new ApiError(statusCode, statusMessage(text) ?? `HTTP status ${statusCode}`, retryAfterMs);
}

async function beginningOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}

/** The message of a Status object. Undefined if the text is something else, for example from a proxy. */
function statusMessage(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' && message !== '' ? message : undefined;
  } catch {
    return undefined;
  }
}
