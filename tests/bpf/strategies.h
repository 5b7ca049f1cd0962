/*
 * The same facts under every way of capturing.
 *
 * strategies_run() calls run() for each strategy this kernel offers, or for `only` (NULL = all),
 * best first, and says which it does not offer and why. It fails where agent/support.h has one of
 * these as tested on this kernel; one that is offered and then does not load is run()'s to fail.
 * Returns the sum of what run() gave, or 77 when it was not called at all.
 */
#ifndef SAGE_TESTS_STRATEGIES_H
#define SAGE_TESTS_STRATEGIES_H

int strategies_run(int (*run)(const char *strategy), const char *only);

#endif
