/**
 * Bytes of the receive buffer of each UDP socket, and of the send buffer of a socket that sends bursts.
 * Cyclone DDS sends bursts of 64 KiB samples.
 */
export const UDP_BUFFER_SIZE = 4 * 1024 * 1024;
