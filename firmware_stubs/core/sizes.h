/* How large the buffers of a chip are; HELLO tells the host. A board with less memory defines smaller ones. */
#ifndef HWL_SIZES_H
#define HWL_SIZES_H

/* Longest frame, in either direction. */
#ifndef HWL_FRAME_BYTES
#define HWL_FRAME_BYTES 65536u
#endif

/* Answers that are kept until the host has acknowledged them: frames, and bytes of these together. */
#ifndef HWL_CACHE_FRAMES
#define HWL_CACHE_FRAMES 64u
#endif
#ifndef HWL_CACHE_BYTES
#define HWL_CACHE_BYTES 262144u
#endif

/* Bytes on the link, as encoded, that a host may send ahead. */
#ifndef HWL_RECEIVE_BYTES
#define HWL_RECEIVE_BYTES 262144u
#endif

/* What an operation computes with; a sample of an update needs 64 bytes per line at the longest train. */
#ifndef HWL_WORK_BYTES
#define HWL_WORK_BYTES 1048576u
#endif

_Static_assert(HWL_FRAME_BYTES >= 512u, "HELLO and its answer are one frame");
_Static_assert(HWL_CACHE_BYTES >= HWL_FRAME_BYTES && HWL_RECEIVE_BYTES >= HWL_FRAME_BYTES, "for one frame at least");
_Static_assert(HWL_WORK_BYTES >= 12u * HWL_FRAME_BYTES, "a read is unpacked as a whole, and so is its answer");

/* Pulses that may pass before somebody looks for an abort: a millisecond or so. */
#ifndef HWL_WORK_BETWEEN_LOOKS
#define HWL_WORK_BETWEEN_LOOKS 8192u
#endif

/* Most tiles of a chip, and most shapes of a configuration. */
#ifndef HWL_TILES_MAX
#define HWL_TILES_MAX 64u
#endif
#ifndef HWL_SHAPES_MAX
#define HWL_SHAPES_MAX 32u
#endif

#endif
