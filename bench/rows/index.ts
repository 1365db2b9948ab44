import { BULK_ROWS } from './bulk.js';
import { DDS_ROWS } from './dds.js';
import { TCP_ROWS, UDP_ROWS } from './load.js';
import type { Row } from './row.js';

export const ROWS: readonly Row[] = [...UDP_ROWS, ...DDS_ROWS, ...TCP_ROWS, ...BULK_ROWS];
