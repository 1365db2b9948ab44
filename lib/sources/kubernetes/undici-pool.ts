import { createRequire } from 'node:module';
import type { Pool as UndiciPool } from 'undici';

const require = createRequire(import.meta.url);

/**
 * undici's Pool with its method `request`, put together in the same way as in undici's index. The index also
 * loads fetch, WebSocket and caches. With it, 17 MB of memory are resident instead of 8 MB.
 */
export const Pool = require('undici/lib/dispatcher/pool.js') as typeof UndiciPool;
export type Pool = UndiciPool;

Pool.prototype.request = require('undici/lib/api/api-request.js') as UndiciPool['request'];
