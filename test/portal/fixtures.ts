import type { CarrierOptions } from '../../lib/portal/carrier.js';

/** The carrier flags of a test that is not about them. */
export const RELAY: CarrierOptions = {
  mode: 'relay',
  markMask: 0x7000_0000,
  firstQueue: 20_480,
  masqueradeAll: false,
  clusterCidrs: [],
};
