#ifndef HWL_NATIVE_SELF_TEST_H
#define HWL_NATIVE_SELF_TEST_H

/* Prints a digest of what every kind of operation gives; returns 0 if the random numbers are right. */
int self_test(void);

#endif
