#include "journal.h"

#include <stddef.h>
#include <string.h>

#include "crc.h"

static uint32_t check_of(const hwl_record *record)
{
    uint8_t bytes[sizeof *record];
    memcpy(bytes, record, sizeof bytes);
    return hwl_crc32(0, bytes, offsetof(hwl_record, check));
}

void hwl_journal_load(hwl_journal *journal, const hwl_store *store)
{
    journal->store = *store;
    for (uint32_t kind = 0; kind < HWL_RECORD_KINDS; kind++) {
        journal->last[kind] = (hwl_record){.kind = (uint16_t)kind};
        for (uint32_t slot = 2u * kind; hwl_journal_is_retained(journal) && slot < 2u * kind + 2u; slot++) {
            hwl_record found;
            store->read(store->context, slot, &found);
            if (found.kind == kind && found.check == check_of(&found) &&
                found.number > journal->last[kind].number) {
                journal->last[kind] = found;
            }
        }
    }
}

void hwl_journal_write(hwl_journal *journal, enum hwl_record_kind kind, hwl_record record)
{
    hwl_record *last = &journal->last[kind];
    record.kind = (uint16_t)kind;
    record.number = last->number + 1u;
    record.check = check_of(&record);
    *last = record;
    if (hwl_journal_is_retained(journal)) {
        journal->store.write(journal->store.context, 2u * (uint32_t)kind + (record.number & 1u), last);
    }
}
