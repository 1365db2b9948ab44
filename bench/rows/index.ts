import { BULK_ROWS } from './bulk.js';
import { changeRow } from './change.js';
import { DDS_ROWS } from './dds.js';
import { ENDURANCE_ROWS } from './endurance.js';
import { idleRow } from './idle.js';
import { TCP_ROWS, UDP_ROWS } from './load.js';
import type { Row } from './row.js';
import { apiMemoryRow, GROWTH_ROWS, startRow } from './scale.js';

export const ROWS: readonly Row[] = [
  ...UDP_ROWS,
  ...DDS_ROWS,
  ...TCP_ROWS,
  ...BULK_ROWS,
  ...ENDURANCE_ROWS,
  idleRow,
  apiMemoryRow,
  startRow,
  ...GROWTH_ROWS,
  changeRow,
];
