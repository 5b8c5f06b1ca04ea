/* The chip: everything that the protocol remembers, in one struct, and the functions that a port fills in. */
#ifndef HWL_CHIP_H
#define HWL_CHIP_H

#include "array.h"
#include "cache.h"
#include "configuration.h"
#include "frame.h"
#include "inbox.h"
#include "journal.h"

/* Places at which a test may stop the chip. */
enum hwl_point {
    HWL_POINT_AFTER_INTENT,  /* intent is written, no pulse given */
    HWL_POINT_MID_PULSES,    /* some pulses are given */
    HWL_POINT_BEFORE_COMMIT, /* all pulses are given */
    HWL_POINT_AFTER_COMMIT,
    HWL_POINT_BEFORE_ANSWER, /* the answer is kept, nothing of it is sent */
    HWL_POINTS
};

/* What a port does for the chip. */
typedef struct hwl_hooks {
    void *context;

    /* Bytes that have come in, at most `capacity`; never waits. */
    uint32_t (*receive)(void *context, uint8_t *bytes, uint32_t capacity);

    /* Sends as many of the bytes as it can without waiting; returns how many, all of them where nobody listens. */
    uint32_t (*send)(void *context, const uint8_t *bytes, uint32_t size);

    /* Waits until something has come in, or until something can be sent; at most that long. */
    void (*wait)(void *context, int to_send, uint32_t milliseconds);

    /* A clock that never stops and wraps at 2^32. */
    uint32_t (*milliseconds)(void *context);

    /* Where records survive a reset; `write` is NULL where there is no such memory. */
    hwl_store store;

    /* May be NULL: is told where the chip is. */
    void (*at)(void *context, enum hwl_point point);
} hwl_hooks;

typedef struct hwl_counters {
    uint64_t pulses;
    uint64_t ticks;
    uint32_t frames_good;
    uint32_t frames_bad;
    uint32_t frames_duplicate;
    uint32_t frames_stale;
} hwl_counters;

/* What latched the chip. */
typedef struct hwl_failure {
    uint64_t id; /* 0 where no part was concerned */
    uint16_t part;
    uint16_t error;
    const char *detail; /* for people, NULL for nothing */
} hwl_failure;

/* The part under way. */
typedef struct hwl_under_way {
    uint8_t busy;
    uint64_t id;
    uint16_t part;
    uint32_t last_notice; /* when the last BUSY was sent, or when it began */
} hwl_under_way;

typedef struct hwl_chip {
    hwl_hooks hooks;
    const hwl_array *array;
    hwl_msg_hello_answer about; /* what does not change of it */
    hwl_journal journal;
    hwl_configuration configuration;
    hwl_counters counters;
    hwl_failure failure;
    hwl_under_way under_way;

    /* The session. */
    uint32_t epoch; /* 0 without a session */
    uint32_t next;  /* sequence number that is executed next */
    uint64_t nonce; /* of the HELLO that began it */
    uint8_t leaving; /* whether a BYE ends it with the frame under way */

    uint8_t armed;
    uint8_t latched;
    uint8_t stop; /* the part under way is to end */
    uint32_t deadman_ms;
    uint32_t last_valid; /* when the last valid frame of the session came in, or when the last one was executed */

    /* Notices that wait until they can be sent. */
    uint8_t aborted_waits;
    uint8_t tripped_waits;
    uint8_t sending;
    hwl_msg_aborted aborted; /* the last abort of the session; `number` 0 before the first */
    uint32_t abort_epoch;
    hwl_msg_tripped tripped;

    hwl_inbox inbox;
    hwl_cache cache;
    uint32_t work_between_looks;
    _Alignas(8) uint8_t request[HWL_FRAME_BYTES];
    _Alignas(8) uint8_t answer[HWL_FRAME_BYTES];
    _Alignas(8) uint8_t work[HWL_WORK_BYTES];
    uint8_t encoded[HWL_COBS_ENCODED(HWL_FRAME_BYTES)];
} hwl_chip;

/* Boots: idle, disarmed, without a configuration or a session. `chip` is all zeros, and stays where it is. */
void hwl_chip_boot(hwl_chip *chip, const hwl_hooks *hooks, const hwl_array *array);

/* Does all there is to do; returns how many milliseconds may pass until the next call if nothing comes in. */
uint32_t hwl_chip_poll(hwl_chip *chip);

/* Looks for what has come in and how late it is, between pulses and while sending. */
void hwl_chip_listen(hwl_chip *chip);

/* The same, and says that the chip is busy if it has been for long; whether the part under way may go on. */
int hwl_chip_look(void *chip);

/* Flags of HELLO, STATUS and DONE. */
uint32_t hwl_chip_flags(const hwl_chip *chip);

/* Idles the lines, and executes nothing more until CLEAR. */
void hwl_chip_latch(hwl_chip *chip, const hwl_failure *failure);

/* Sends a frame of `length` bytes. */
void hwl_chip_send(hwl_chip *chip, const uint8_t *frame, uint32_t length);

static inline void hwl_chip_at(hwl_chip *chip, enum hwl_point point)
{
    if (chip->hooks.at) {
        chip->hooks.at(chip->hooks.context, point);
    }
}

/* A request frame, by session.c; `frame` is chip->request. */
void hwl_session_request(hwl_chip *chip, uint32_t length);

#endif
