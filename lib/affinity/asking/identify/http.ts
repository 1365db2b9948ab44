import { hostPort } from '../../../net/hostport.js';
import { type Dialect, tidyName } from './dialect.js';

/** Bytes of an answer in which the name is looked for. */
const LONGEST_ANSWER = 64 << 10;
/** A body that is no longer, and has one line, is taken for a name. */
const LONGEST_BODY = 253;

/** Header fields by which servers and load balancers tell who answers. */
const HEADER =
  /^(?:x-(?:served-by|backend(?:-server)?|upstream|host|hostname|pod(?:-name)?|server(?:-name)?|instance)):[ \t]*(\S.*?)[ \t]*$/im;
/** In a text or in JSON: `Hostname: web-0` (whoami), `Server name: web-0` (nginxdemos), `"pod": "web-0"`. */
const NAMED =
  /(?:^|[\s,{"'])(?:host|server|pod|container|node|instance)[ _-]?(?:name|id)?["']?\s*[:=]\s*["']?([\w.-]+)/im;

/**
 * A web server that tells its name in a header field or in the body, as `GET /hostname` of agnhost does.
 * @param host of the header field `Host`
 */
export function http(path: string, host: string, port: number): Dialect {
  const head = [`GET ${path} HTTP/1.1`, `Host: ${hostPort(host, port)}`, 'User-Agent: kube-portal-affinity'];
  const question = Buffer.from(`${head.join('\r\n')}\r\nAccept: */*\r\nConnection: close\r\n\r\n`);
  return {
    question: () => question,
    nameIn(answer, _asker, isWhole) {
      const text = answer.toString('latin1');
      if (!'HTTP/'.startsWith(text.slice(0, 5))) return null;
      if (!isWhole && answer.length < LONGEST_ANSWER && !isComplete(text)) return undefined;
      return nameIn(text);
    },
  };
}

function isComplete(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const [, length] = /^content-length:[ \t]*(\d+)/im.exec(text.slice(0, end)) ?? [];
  if (length !== undefined) return text.length - end - 4 >= Number(length);
  return text.endsWith('\r\n0\r\n\r\n');
}

function nameIn(text: string): string | null {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [, field] = HEADER.exec(head) ?? [];
  if (field !== undefined) return tidyName(field);
  const body = withoutChunks(head, rest.join('\r\n\r\n'));
  const [, named] = NAMED.exec(body) ?? [];
  if (named !== undefined) return tidyName(named);
  const line = body.trim();
  return line.length <= LONGEST_BODY && /^[\w.:-]+$/.test(line) ? tidyName(line) : null;
}

/** The body without the lengths of its chunks (RFC 9112, 7.1). */
function withoutChunks(head: string, body: string): string {
  if (!/^transfer-encoding:.*\bchunked\b/im.test(head)) return body;
  return body.replace(/(?:^|\r\n)[0-9a-f]+(?:;[^\r\n]*)?\r\n/gi, '');
}
