import type { Redirect } from '../../lib/redirect/driver.js';

/** Of redirects whose traffic only workers relay. */
export const RELAYED: Pick<Redirect, 'carriedVips' | 'carried'> = { carriedVips: [], carried: null };
