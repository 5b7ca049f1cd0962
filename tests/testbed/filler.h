/* Files of filler: what the testbed reads from the disk must first be there. Any thread. */
#ifndef SAGE_TESTBED_FILLER_H
#define SAGE_TESTBED_FILLER_H

/*
 * Make a file anew, written through to the disk. Returns a descriptor that reads and
 * writes, or -errno, with no file left.
 */
int filler_make(const char *path, unsigned megabytes);

#endif
