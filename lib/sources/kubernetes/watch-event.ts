import { ApiError } from './api-error.js';

/** One line of a watch's answer. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  /** A BOOKMARK's object has only a resourceVersion. An ERROR's object is a Status. */
  readonly object: unknown;
}

const EVENT_TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']);

/** A line of a watch cannot be parsed. Its change is lost, so the collection must be listed again. */
export class UnreadableEvent extends Error {}

/** @throws UnreadableEvent that shows the beginning of the line */
export function readWatchEvent(line: string): WatchEvent {
  try {
    const event = JSON.parse(line) as WatchEvent;
    if (EVENT_TYPES.has(event.type)) return event;
  } catch {
    // The error below shows more of the line.
  }
  throw new UnreadableEvent(
    `the server sent a line that is not a watch event: ${JSON.stringify(line.slice(0, 80))}`,
  );
}

/** The error in an ERROR event. */
export function errorOfStatus(object: unknown): ApiError {
  const { code = 500, message = 'the server reports an error' } = object as {
    code?: number;
    message?: string;
  };
  return new ApiError(code, message);
}
