/** rtnetlink(7) and linux/rtnetlink.h: asks for one device. */
export const RTM_GETLINK = 18;

/** struct ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, change mask u32. */
export const IFINFOMSG_SIZE = 16;
/** linux/if.h: the device is turned on. */
export const IFF_UP = 1;

/**
 * The header of a message about a device.
 * @param index of the device; 0: it is named by an attribute
 * @param flags that are set
 */
export function linkHeader(index: number, flags: number): Uint8Array {
  const header = new Uint8Array(IFINFOMSG_SIZE);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, flags, true);
  return header;
}
