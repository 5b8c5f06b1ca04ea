/* The chip as a native process: its arena is a file, its link a terminal, a socket or standard streams. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chip.h"
#include "link.h"
#include "model.h"
#include "self_test.h"

#define PULSES_BETWEEN_LOOKS 131072u /* about a millisecond */

static const char usage[] =
    "usage: hwloop-chip --version | --self-test\n"
    "       hwloop-chip --arena FILE (--pty | --tcp PORT | --file NUMBER | --stdio) [--with-parent]\n"
    "                   [--crash-at POINT[:N]] [--look-after PULSES]\n"
    "--file         an open socket or terminal, inherited, by its number\n"
    "--with-parent  ends when standard input is closed (all links but --stdio)\n"
    "--crash-at     dies at the Nth passage of after-intent, mid-pulses, before-commit, after-commit, before-answer\n"
    "--look-after   pulses that pass between two looks for an abort\n";

static const char *const point_names[HWL_POINTS] = {
    [HWL_POINT_AFTER_INTENT] = "after-intent",   [HWL_POINT_MID_PULSES] = "mid-pulses",
    [HWL_POINT_BEFORE_COMMIT] = "before-commit", [HWL_POINT_AFTER_COMMIT] = "after-commit",
    [HWL_POINT_BEFORE_ANSWER] = "before-answer",
};

typedef struct options {
    const char *arena;
    const char *link; /* "--pty", "--tcp", "--file" or "--stdio" */
    uint16_t port;
    int file;
    int with_parent;
    int crash_point; /* -1 for none */
    unsigned long crash_passage;
    uint32_t look_after;
} options;

static native_link line;
static options asked = {.crash_point = -1, .crash_passage = 1};
static hwl_chip chip;
static hwl_model model;
static hwl_array array;

static uint32_t milliseconds(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

/* Dies as `kill -9` would have it: nothing is tidied up, only the arena stays. */
static void at(void *context, enum hwl_point point)
{
    (void)context;
    if ((int)point == asked.crash_point && --asked.crash_passage == 0) {
        raise(SIGKILL);
    }
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "hwloop-chip: %s: %s\n", what, why);
    return 2;
}

static int number(const char *text, unsigned long largest, unsigned long *value)
{
    char *end;
    errno = 0;
    *value = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *value <= largest;
}

static int parse_point(const char *text)
{
    const size_t length = strcspn(text, ":");
    for (int n = 0; n < HWL_POINTS; n++) {
        if (strlen(point_names[n]) == length && strncmp(point_names[n], text, length) == 0) {
            asked.crash_point = n;
        }
    }
    return asked.crash_point >= 0 && (text[length] == '\0' || number(text + length + 1, 1000000000u, &asked.crash_passage));
}

static int parse(int argc, char **argv)
{
    for (int n = 1; n < argc; n++) {
        const char *value = n + 1 < argc ? argv[n + 1] : "";
        unsigned long parsed = 0;
        if (strcmp(argv[n], "--arena") == 0) {
            asked.arena = value;
            n++;
        } else if (strcmp(argv[n], "--tcp") == 0 && number(value, UINT16_MAX, &parsed)) {
            asked.link = argv[n];
            asked.port = (uint16_t)parsed;
            n++;
        } else if (strcmp(argv[n], "--file") == 0 && number(value, INT_MAX, &parsed)) {
            asked.link = argv[n];
            asked.file = (int)parsed;
            n++;
        } else if (strcmp(argv[n], "--pty") == 0 || strcmp(argv[n], "--stdio") == 0) {
            asked.link = argv[n];
        } else if (strcmp(argv[n], "--with-parent") == 0) {
            asked.with_parent = 1;
        } else if (strcmp(argv[n], "--crash-at") == 0 && parse_point(value)) {
            n++;
        } else if (strcmp(argv[n], "--look-after") == 0 && number(value, UINT32_MAX, &parsed) && parsed > 0) {
            asked.look_after = (uint32_t)parsed;
            n++;
        } else {
            return 0;
        }
    }
    return asked.arena != NULL && *asked.arena && asked.link != NULL;
}

static const char *const faults[] = {
    [HWL_ARENA_FINE] = "fine",
    [HWL_ARENA_NONE] = "not an arena",
    [HWL_ARENA_OTHER] = "of another layout or dictionary of messages; write it anew",
    [HWL_ARENA_TOO_LARGE] = "too large: more bytes than the file, or more tiles or shapes than the chip can have",
    [HWL_ARENA_DAMAGED] = "damaged: its check is wrong, or it points outside itself",
};

/* Maps the arena, and keeps other processes from it. */
static void *map_arena(const char *path, const char **why)
{
    const int file = open(path, O_RDWR | O_CLOEXEC);
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0) {
        *why = strerror(errno);
        return NULL;
    }
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        *why = "another chip has it";
        return NULL;
    }
    const size_t size = (size_t)about.st_size;
    void *memory = size > 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (memory == MAP_FAILED) {
        *why = size > 0 ? strerror(errno) : "empty";
        return NULL;
    }
    const enum hwl_arena_fault fault = hwl_arena_check(memory, size);
    *why = faults[fault];
    return fault == HWL_ARENA_FINE ? memory : NULL;
}

static int serve(void)
{
    const char *why = NULL;
    void *memory = map_arena(asked.arena, &why);
    if (!memory) {
        return fail(asked.arena, why);
    }
    const int is_open = strcmp(asked.link, "--pty") == 0    ? native_link_open_pty(&line)
                        : strcmp(asked.link, "--tcp") == 0  ? native_link_open_tcp(&line, asked.port)
                        : strcmp(asked.link, "--file") == 0 ? native_link_open_inherited(&line, asked.file)
                                                            : native_link_open_stdio(&line);
    if (!is_open) {
        return fail(asked.link, strerror(errno));
    }
    if (asked.with_parent && line.in != STDIN_FILENO) {
        line.parent = STDIN_FILENO;
    }
    const hwl_hooks hooks = {
        .context = &line,
        .receive = native_link_receive,
        .send = native_link_send,
        .wait = native_link_wait,
        .milliseconds = milliseconds,
        .store = hwl_arena_store(memory),
        .at = at,
    };
    /* Without it the chip computes all the same, only slower. */
    const uint64_t bytes = hwl_model_room(memory);
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hwl_model_bind(&model, memory, room, room == MAP_FAILED ? 0u : bytes, &array);
    hwl_chip_boot(&chip, &hooks, &array);
    chip.work_between_looks = asked.look_after > 0 ? asked.look_after : PULSES_BETWEEN_LOOKS;
    for (;;) {
        native_link_wait(&line, 0, hwl_chip_poll(&chip));
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("hwloop-chip %s abi %u tile %u dictionary %08x\n", hwl_source_hash(), (unsigned)hwl_abi_version(),
               (unsigned)hwl_tile_size(), (unsigned)HWL_DICTIONARY);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--self-test") == 0) {
        return self_test();
    }
    if (!parse(argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    return serve();
}
