/* Directories that are made when missing. Any thread. */
#ifndef SAGE_COMMON_DIRECTORY_H
#define SAGE_COMMON_DIRECTORY_H

#include <sys/types.h>

/*
 * Make a directory with this mode, and those above it that are missing with 0755. Returns 0,
 * also when it is there already, or -errno.
 */
int directory_make(const char *path, mode_t mode);

/* The directory a file is to be made in: directory_make() of all but its last component. */
int directory_make_for(const char *file, mode_t mode);

#endif
