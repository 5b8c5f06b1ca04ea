#include "cache.h"

#include <string.h>

static uint32_t wrapped(uint32_t offset)
{
    return offset >= HWL_CACHE_BYTES ? offset - HWL_CACHE_BYTES : offset;
}

static uint32_t until_end(uint32_t begin, uint32_t length)
{
    return HWL_CACHE_BYTES - begin < length ? HWL_CACHE_BYTES - begin : length;
}

void hwl_cache_clear(hwl_cache *cache, uint32_t next)
{
    cache->oldest = next;
    cache->count = 0;
    cache->begin = 0;
    cache->used = 0;
}

void hwl_cache_drop(hwl_cache *cache, uint32_t acknowledged)
{
    while (cache->count > 0 && cache->oldest <= acknowledged) {
        const uint32_t length = cache->frames[cache->oldest % HWL_CACHE_FRAMES].length;
        cache->begin = wrapped(cache->begin + length);
        cache->used -= length;
        cache->count--;
        cache->oldest++;
    }
}

int hwl_cache_has_room(const hwl_cache *cache, uint32_t length)
{
    return cache->count < HWL_CACHE_FRAMES && length <= HWL_CACHE_BYTES - cache->used;
}

void hwl_cache_keep(hwl_cache *cache, const uint8_t *frame, uint32_t length)
{
    const uint32_t begin = wrapped(cache->begin + cache->used);
    const uint32_t straight = until_end(begin, length);
    memcpy(cache->bytes + begin, frame, straight);
    memcpy(cache->bytes, frame + straight, length - straight);
    cache->frames[(cache->oldest + cache->count) % HWL_CACHE_FRAMES] = (hwl_kept){begin, length};
    cache->count++;
    cache->used += length;
}

uint32_t hwl_cache_find(const hwl_cache *cache, uint32_t sequence, uint8_t *frame)
{
    if (sequence < cache->oldest || sequence - cache->oldest >= cache->count) {
        return 0;
    }
    const hwl_kept kept = cache->frames[sequence % HWL_CACHE_FRAMES];
    const uint32_t straight = until_end(kept.begin, kept.length);
    memcpy(frame, cache->bytes + kept.begin, straight);
    memcpy(frame + straight, cache->bytes, kept.length - straight);
    return kept.length;
}
