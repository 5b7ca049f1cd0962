/*
 * Where in a file the functions are by which programs read and write through TLS.
 *
 * Looks into the symbol tables of an ELF file, which may be anybody's: it is read, not
 * mapped, as a mapped file that shrinks kills its reader. No state; any thread.
 */
#ifndef SAGE_AGENT_TLS_SYMBOLS_H
#define SAGE_AGENT_TLS_SYMBOLS_H

#include <stdint.h>

/* OpenSSL and those with the same functions (BoringSSL, LibreSSL); Go's crypto/tls. */
enum tls_function {
	TLS_FN_WRITE,
	TLS_FN_WRITE_EX,
	TLS_FN_READ,
	TLS_FN_READ_EX,
	TLS_FN_GO_WRITE,
	TLS_FUNCTIONS
};

struct tls_symbols {
	uint64_t offset[TLS_FUNCTIONS]; /* in the file; 0 = not there */
};

/* How many of the functions `path` has; -ENOEXEC when it is no ELF file of this machine, -errno. */
int tls_symbols_find(const char *path, struct tls_symbols *s);

#endif
