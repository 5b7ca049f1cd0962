/*
 * A neighbour that keeps a disk busy: large reads past the page cache, by as many
 * threads as it takes for a small read in between to wait long. Disks differ by a
 * factor of a thousand, so it goes by what it measures, not by a number of threads.
 */
#ifndef SAGE_TESTBED_HOG_DISK_H
#define SAGE_TESTBED_HOG_DISK_H

/* Read the file for ever. Returns only when that cannot be: -errno. */
int hog_disk(const char *file);

#endif
