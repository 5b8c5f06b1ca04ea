/* Records that survive a reboot, where the chip has memory for them: intent, commit, boots and sessions.
 *
 * Each kind has two slots, written in turn, numbered and checked, so that a reset in the middle of a write leaves the
 * record before it. */
#ifndef HWL_JOURNAL_H
#define HWL_JOURNAL_H

#include <stdint.h>

enum hwl_record_kind { HWL_RECORD_INTENT, HWL_RECORD_COMMIT, HWL_RECORD_BOOT, HWL_RECORD_KINDS };

#define HWL_RECORD_SLOTS (2u * HWL_RECORD_KINDS)

typedef struct hwl_record {
    uint64_t id;    /* operation; boots for HWL_RECORD_BOOT */
    uint64_t fired; /* pulses that the part gave, for HWL_RECORD_COMMIT */
    uint32_t part;  /* of the operation; sessions for HWL_RECORD_BOOT */
    uint16_t verdict;
    uint16_t kind;
    uint32_t number; /* counts the writes of its kind; 0 in a slot that was never written */
    uint32_t check;  /* CRC-32 of all before it */
} hwl_record;

_Static_assert(sizeof(hwl_record) == 32, "records have no padding");

/* Where records are kept. `write` returns once the record would survive a reset. */
typedef struct hwl_store {
    void *context;
    void (*write)(void *context, uint32_t slot, const hwl_record *record);
    void (*read)(void *context, uint32_t slot, hwl_record *record);
} hwl_store;

typedef struct hwl_journal {
    hwl_store store; /* write is NULL where nothing is retained */
    hwl_record last[HWL_RECORD_KINDS];
} hwl_journal;

/* Reads what the store holds. */
void hwl_journal_load(hwl_journal *journal, const hwl_store *store);

/* Writes a record of a kind: id, part, fired and verdict of `record`. */
void hwl_journal_write(hwl_journal *journal, enum hwl_record_kind kind, hwl_record record);

static inline int hwl_journal_is_retained(const hwl_journal *journal)
{
    return journal->store.write != 0;
}

#endif
