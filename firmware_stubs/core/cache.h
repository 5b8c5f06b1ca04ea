/* Answers that the host has not acknowledged yet, whole and in order. */
#ifndef HWL_CACHE_H
#define HWL_CACHE_H

#include <stdint.h>

#include "sizes.h"

typedef struct hwl_kept {
    uint32_t begin; /* in the ring of bytes */
    uint32_t length;
} hwl_kept;

typedef struct hwl_cache {
    uint8_t bytes[HWL_CACHE_BYTES];
    hwl_kept frames[HWL_CACHE_FRAMES]; /* of sequence number n, at n % HWL_CACHE_FRAMES */
    uint32_t oldest;                   /* sequence number of the oldest answer that is kept */
    uint32_t count;
    uint32_t begin; /* of the oldest answer's bytes */
    uint32_t used;
} hwl_cache;

/* Forgets everything; the next answer is that of sequence number `next`. */
void hwl_cache_clear(hwl_cache *cache, uint32_t next);

/* Drops the answers up to a sequence number. */
void hwl_cache_drop(hwl_cache *cache, uint32_t acknowledged);

/* Whether an answer of that length can be kept beside what is. */
int hwl_cache_has_room(const hwl_cache *cache, uint32_t length);

/* Keeps the answer of the next sequence number; there must be room. */
void hwl_cache_keep(hwl_cache *cache, const uint8_t *frame, uint32_t length);

/* Copies the answer of a sequence number to `frame`; returns its length, 0 if it is not here. */
uint32_t hwl_cache_find(const hwl_cache *cache, uint32_t sequence, uint8_t *frame);

#endif
