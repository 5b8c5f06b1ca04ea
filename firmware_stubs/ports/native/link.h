/* The links of the native chip: a pseudo-terminal, a TCP socket, standard input and output, or what it inherits. */
#ifndef HWL_NATIVE_LINK_H
#define HWL_NATIVE_LINK_H

#include <stdint.h>

#define NATIVE_LINK_AHEAD 65536u

typedef struct native_link {
    int in;         /* -1 while nobody is connected */
    int out;
    int listener;   /* of TCP, else -1 */
    int terminal;   /* our own end of the pseudo-terminal's other side, else -1 */
    int parent;     /* what is closed when whoever started us is gone, else -1 */
    int is_only;    /* whether no other host can come, so that the chip ends with the link */
    uint32_t begin; /* of the bytes that were read ahead: the core takes few at a time */
    uint32_t end;
    uint8_t ahead[NATIVE_LINK_AHEAD];
} native_link;

/* Each opens the link, says on standard output where it is (one JSON object on a line), and returns whether it could.
 * Port 0 is any. */
int native_link_open_stdio(native_link *link);
int native_link_open_pty(native_link *link);
int native_link_open_tcp(native_link *link, uint16_t port);
int native_link_open_inherited(native_link *link, int file);

/* The hooks of the chip; the context is the link. */
uint32_t native_link_receive(void *link, uint8_t *bytes, uint32_t capacity);
uint32_t native_link_send(void *link, const uint8_t *bytes, uint32_t size);
void native_link_wait(void *link, int to_send, uint32_t milliseconds);

#endif
