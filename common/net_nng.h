/*
 * What client and server share behind net.h. Only the net_*.c files include this
 * or nng.
 */
#ifndef SAGE_COMMON_NET_NNG_H
#define SAGE_COMMON_NET_NNG_H

#include <stdbool.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "common/net.h"

/* nng's number as -errno; 0 stays 0. */
int net_errno(int nng);

bool net_is_tls(const char *url);

/* Is the URL of a kind we speak, with the TLS files it needs? 0 or -EINVAL and why. */
int net_check_url(const char *url, const struct net_tls *tls, char why[NET_WHY]);

/* Both sides must show a certificate. Free *out with nng_tls_config_free(). */
int net_make_tls(nng_tls_config **out, const char *url, const struct net_tls *tls,
	nng_tls_mode mode, char why[NET_WHY]);

#endif
