/*
 * A file system below SQLite whose writes fail, or kill the process, on demand.
 *
 * Becomes SQLite's default when installed, for the rest of the process. Counts writes, syncs
 * and truncations of all files; one thread at a time.
 */
#ifndef SAGE_TESTS_FAULTY_VFS_H
#define SAGE_TESTS_FAULTY_VFS_H

#include <stdbool.h>

/* SQLITE_OK or its error. */
int faulty_vfs_install(void);

/* From the `first` change on (0 = the next one) `many` of them fail with this SQLite code. */
void faulty_vfs_fail(unsigned first, unsigned many, int code);

/* The `first` change kills the process. */
void faulty_vfs_kill(unsigned first);

/* Nothing fails any more. True when something did. */
bool faulty_vfs_heal(void);

#endif
