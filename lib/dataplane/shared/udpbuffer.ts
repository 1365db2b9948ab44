/**
 * Bytes of the receive buffer of each UDP socket, and of a send buffer that needs it: Cyclone DDS sends
 * bursts of 64 KiB samples.
 */
export const UDP_BUFFER_SIZE = 4 * 1024 * 1024;
