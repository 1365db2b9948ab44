/**
 * Products by the vendor's id of two bytes, as the OMG lists them:
 * https://www.dds-foundation.org/dds-rtps-vendor-and-product-ids/
 */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x0101, 'RTI Connext'],
  [0x0102, 'OpenSplice'],
  [0x0103, 'OpenDDS'],
  [0x0104, 'Mil-DDS'],
  [0x0105, 'InterCOM DDS'],
  [0x0106, 'CoreDX DDS'],
  [0x0109, 'Diamond DDS'],
  [0x010a, 'RTI Connext Micro'],
  [0x010b, 'Vortex Cafe'],
  [0x010d, 'Vortex Lite'],
  [0x010f, 'Fast DDS'],
  [0x0110, 'Cyclone DDS'],
  [0x0111, 'GurumDDS'],
  [0x0112, 'RustDDS'],
  [0x0113, 'ZRDDS'],
  [0x0114, 'Dust DDS'],
]);

export const FAST_DDS = 0x010f;

/** The product of a vendor; the id in hexadecimal digits, such as `0x0199`, of one that is not known. */
export function vendorName(id: number): string {
  return NAMES.get(id) ?? `0x${id.toString(16).padStart(4, '0')}`;
}
