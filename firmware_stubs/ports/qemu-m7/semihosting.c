/* Arm's semihosting: a breakpoint that the emulator takes for a call to the host. */
#include "machine.h"

#include <string.h>

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_GET_CMDLINE = 0x15, SYS_EXIT = 0x18,
       SYS_ELAPSED = 0x30 };

#define MODE_READ_WRITE 3u /* "r+b" */
#define STOPPED_WITH_ERROR 0x20023u
#define PATH_BYTES 256u
#define FAILURES_OF_A_LOST_HOST 1000u

static int32_t call(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0), "+r"(r1) : : "memory", "cc");
    return (int32_t)r0;
}

int semihosting_open_argument(void)
{
    static char path[PATH_BYTES];
    const uint32_t where[2] = {(uint32_t)(uintptr_t)path, sizeof path};
    if (call(SYS_GET_CMDLINE, where) != 0 || path[0] == '\0') {
        return -1;
    }
    const uint32_t file[3] = {where[0], MODE_READ_WRITE, strlen(path)};
    return call(SYS_OPEN, file);
}

uint32_t semihosting_read(int handle, uint8_t *bytes, uint32_t capacity)
{
    static uint32_t failures;
    const uint32_t what[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)bytes, capacity};
    const int32_t left = call(SYS_READ, what);
    if (left >= 0 && (uint32_t)left < capacity) {
        failures = 0;
        return capacity - (uint32_t)left;
    }
    /* A read waits for a byte, unless the terminal has hung up: a chip nobody can reach must not spin. */
    if (++failures == FAILURES_OF_A_LOST_HOST) {
        semihosting_fail("the host is gone\n");
    }
    return 0;
}

void semihosting_write(int handle, const uint8_t *bytes, uint32_t size)
{
    while (size > 0) {
        const uint32_t what[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)bytes, size};
        const int32_t left = call(SYS_WRITE, what);
        if (left < 0 || (uint32_t)left >= size) {
            return;
        }
        bytes += size - (uint32_t)left;
        size = (uint32_t)left;
    }
}

uint64_t semihosting_nanoseconds(void)
{
    uint64_t elapsed = 0;
    return call(SYS_ELAPSED, &elapsed) == 0 ? elapsed : 0u;
}

void semihosting_fail(const char *line)
{
    call(SYS_WRITE0, line);
    call(SYS_EXIT, (const void *)STOPPED_WITH_ERROR);
}
