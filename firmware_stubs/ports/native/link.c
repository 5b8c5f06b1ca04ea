#define _GNU_SOURCE
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static void close_all(native_link *link)
{
    memset(link, 0, sizeof *link);
    link->in = link->out = link->listener = link->terminal = link->parent = -1;
}

static int never_wait(int file)
{
    return fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK);
}

int native_link_open_stdio(native_link *link)
{
    close_all(link);
    link->in = STDIN_FILENO;
    link->out = STDOUT_FILENO;
    link->is_only = 1;
    return never_wait(link->in) == 0 && never_wait(link->out) == 0;
}

int native_link_open_inherited(native_link *link, int file)
{
    close_all(link);
    link->in = link->out = file;
    link->is_only = 1;
    if (never_wait(file) != 0) {
        return 0;
    }
    printf("{\"file\": %d, \"pid\": %ld}\n", file, (long)getpid());
    return fflush(stdout) == 0;
}

int native_link_open_pty(native_link *link)
{
    close_all(link);
    const int file = posix_openpt(O_RDWR | O_NOCTTY);
    if (file < 0 || grantpt(file) != 0 || unlockpt(file) != 0) {
        return 0;
    }
    /* Our own hold on the other side keeps its raw mode, and keeps it from hanging up, while no host has it open. */
    const char *path = ptsname(file);
    link->terminal = path ? open(path, O_RDWR | O_NOCTTY) : -1;
    struct termios mode;
    if (link->terminal < 0 || tcgetattr(link->terminal, &mode) != 0) {
        return 0;
    }
    cfmakeraw(&mode);
    if (tcsetattr(link->terminal, TCSANOW, &mode) != 0 || never_wait(file) != 0) {
        return 0;
    }
    link->in = link->out = file;
    printf("{\"pty\": \"%s\", \"pid\": %ld}\n", path, (long)getpid());
    return fflush(stdout) == 0;
}

int native_link_open_tcp(native_link *link, uint16_t port)
{
    close_all(link);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int yes = 1;
    link->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (link->listener < 0 || setsockopt(link->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(link->listener, (struct sockaddr *)&address, size) != 0 || listen(link->listener, 1) != 0 ||
        getsockname(link->listener, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    printf("{\"tcp\": %u, \"pid\": %ld}\n", (unsigned)ntohs(address.sin_port), (long)getpid());
    return fflush(stdout) == 0;
}

static void hang_up(native_link *link)
{
    if (link->listener >= 0 && link->in >= 0) {
        close(link->in);
        link->in = link->out = -1;
        link->begin = link->end = 0;
    }
}

/* The latest host to connect has the link: the one before may be gone without our knowing. */
static void accept_host(native_link *link)
{
    const int file = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK);
    if (file < 0) {
        return;
    }
    hang_up(link);
    const int yes = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    link->in = link->out = file;
}

static uint32_t take_ahead(native_link *link, uint8_t *bytes, uint32_t capacity)
{
    const uint32_t left = link->end - link->begin;
    const uint32_t count = left < capacity ? left : capacity;
    memcpy(bytes, link->ahead + link->begin, count);
    link->begin += count;
    return count;
}

uint32_t native_link_receive(void *context, uint8_t *bytes, uint32_t capacity)
{
    native_link *link = context;
    if (link->in < 0) {
        return 0;
    }
    if (link->begin < link->end) {
        return take_ahead(link, bytes, capacity);
    }
    const ssize_t count = read(link->in, link->ahead, sizeof link->ahead);
    if (count > 0) {
        link->begin = 0;
        link->end = (uint32_t)count;
        return take_ahead(link, bytes, capacity);
    }
    const int over = count == 0 || (errno != EAGAIN && errno != EINTR);
    if (over && link->is_only) {
        exit(0);
    }
    if (over) {
        hang_up(link);
    }
    return 0;
}

uint32_t native_link_send(void *context, const uint8_t *bytes, uint32_t size)
{
    native_link *link = context;
    if (link->out < 0) {
        return size;
    }
    const ssize_t count = write(link->out, bytes, size);
    if (count >= 0) {
        return (uint32_t)count;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    hang_up(link);
    return size;
}

void native_link_wait(void *context, int to_send, uint32_t milliseconds)
{
    native_link *link = context;
    struct pollfd files[4] = {
        {.fd = link->in, .events = POLLIN},
        {.fd = to_send ? link->out : -1, .events = POLLOUT},
        {.fd = link->listener, .events = POLLIN},
        {.fd = link->parent, .events = POLLIN},
    };
    const int timeout = link->begin < link->end ? 0 : (int)milliseconds;
    if (poll(files, 4, timeout) <= 0) {
        return;
    }
    if (files[2].revents & POLLIN) {
        accept_host(link);
    }
    char byte;
    if (files[3].revents && read(link->parent, &byte, 1) <= 0) {
        exit(0);
    }
}
