/* The four functions of the standard library that the core and the compiler use; memory.c has them. */
#ifndef HWL_QEMU_STRING_H
#define HWL_QEMU_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
