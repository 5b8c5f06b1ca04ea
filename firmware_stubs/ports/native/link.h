/* The links of the native chip: a pseudo-terminal, a TCP socket, or standard input and output. */
#ifndef HWL_NATIVE_LINK_H
#define HWL_NATIVE_LINK_H

#include <stdint.h>

typedef struct native_link {
    int in;         /* -1 while nobody is connected */
    int out;
    int listener;   /* of TCP, else -1 */
    int terminal;   /* our own end of the pseudo-terminal's other side, else -1 */
    int parent;     /* what is closed when whoever started us is gone, else -1 */
    int is_stdio;
} native_link;

/* Each opens the link, says on standard output where it is (one JSON object on a line), and returns whether it could.
 * Port 0 is any. */
int native_link_open_stdio(native_link *link);
int native_link_open_pty(native_link *link);
int native_link_open_tcp(native_link *link, uint16_t port);

/* The hooks of the chip; the context is the link. */
uint32_t native_link_receive(void *link, uint8_t *bytes, uint32_t capacity);
uint32_t native_link_send(void *link, const uint8_t *bytes, uint32_t size);
void native_link_wait(void *link, int to_send, uint32_t milliseconds);

#endif
