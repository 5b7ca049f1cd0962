#include "common/net_nng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEM_BYTES (256U << 10)

int net_errno(int nng)
{
	static const struct {
		int nng, error;
	} table[] = {
		{NNG_EINTR, EINTR},
		{NNG_ENOMEM, ENOMEM},
		{NNG_EINVAL, EINVAL},
		{NNG_EBUSY, EBUSY},
		{NNG_ETIMEDOUT, ETIMEDOUT},
		{NNG_ECONNREFUSED, ECONNREFUSED},
		{NNG_ECLOSED, ESHUTDOWN},
		{NNG_EAGAIN, EAGAIN},
		{NNG_ENOTSUP, EOPNOTSUPP},
		{NNG_EADDRINUSE, EADDRINUSE},
		{NNG_EPROTO, EPROTO},
		{NNG_EUNREACHABLE, EHOSTUNREACH},
		{NNG_EADDRINVAL, EADDRNOTAVAIL},
		{NNG_EPERM, EPERM},
		{NNG_EMSGSIZE, EMSGSIZE},
		{NNG_ECONNABORTED, ECONNABORTED},
		{NNG_ECONNRESET, ECONNRESET},
		{NNG_ECANCELED, ECANCELED},
		{NNG_ENOFILES, EMFILE},
		{NNG_ENOSPC, ENOSPC},
		{NNG_EPEERAUTH, EKEYREJECTED},
		{NNG_ECRYPTO, EKEYREJECTED},
	};

	if (!nng)
		return 0;
	if (nng & NNG_ESYSERR)
		return -(nng & ~NNG_ESYSERR);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].nng == nng)
			return -table[i].error;
	}
	return -EIO;
}

bool net_is_tls(const char *url)
{
	return !strncmp(url, "tls+tcp://", 10);
}

int net_check_url(const char *url, const struct net_tls *tls, char why[NET_WHY])
{
	bool files = tls && tls->ca_file && tls->cert_file && tls->key_file;
	bool some = tls && (tls->ca_file || tls->cert_file || tls->key_file);

	why[0] = 0;
	if (net_is_tls(url) ? files : !strncmp(url, "tcp://", 6) && !some)
		return 0;
	if (net_is_tls(url))
		snprintf(why, NET_WHY, "%s: TLS needs a CA, a certificate and a key file", url);
	else if (some)
		snprintf(why, NET_WHY, "%s: TLS files given: write tls+tcp://", url);
	else
		snprintf(why, NET_WHY, "%s: write tcp://HOST:PORT or tls+tcp://HOST:PORT", url);
	return -EINVAL;
}

/* A whole small file as a string the caller frees. */
static int read_pem(const char *path, char **out, char why[NET_WHY])
{
	char *text = malloc(PEM_BYTES + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC), error = 0;
	ssize_t got = fd < 0 || !text ? -1 : read(fd, text, PEM_BYTES + 1);

	if (!text)
		error = -ENOMEM;
	else if (got < 0)
		error = -errno;
	else if (got > (ssize_t)PEM_BYTES)
		error = -EFBIG;
	if (fd >= 0)
		close(fd);
	if (error) {
		snprintf(why, NET_WHY, "%s: %s", path, strerror(-error));
		free(text);
		return error;
	}
	text[got] = 0;
	*out = text;
	return 0;
}

static int add_ca(nng_tls_config *config, const struct net_tls *tls, char why[NET_WHY])
{
	char *ca = NULL;
	int error = read_pem(tls->ca_file, &ca, why);

	if (error)
		return error;
	error = net_errno(nng_tls_config_ca_chain(config, ca, NULL));
	if (error)
		snprintf(why, NET_WHY, "%s: no CA certificate in PEM", tls->ca_file);
	free(ca);
	return error;
}

static int add_own(nng_tls_config *config, const struct net_tls *tls, char why[NET_WHY])
{
	char *cert = NULL, *key = NULL;
	int error = read_pem(tls->cert_file, &cert, why);

	if (!error)
		error = read_pem(tls->key_file, &key, why);
	if (!error) {
		error = net_errno(nng_tls_config_own_cert(config, cert, key, NULL));
		if (error)
			snprintf(why, NET_WHY,
				"%s, %s: not a certificate and its unencrypted key in PEM",
				tls->cert_file, tls->key_file);
	}
	if (key)
		explicit_bzero(key, strlen(key));
	free(cert);
	free(key);
	return error;
}

/* The host part of a URL, without port and brackets. */
static void url_host(const char *url, char *out, size_t room)
{
	const char *host = strstr(url, "://") + 3, *colon = strrchr(host, ':');
	size_t length = colon ? (size_t)(colon - host) : strlen(host);

	if (length && host[0] == '[') {
		host++;
		length = strcspn(host, "]");
	}
	snprintf(out, room, "%.*s", (int)(length < room ? length : room - 1), host);
}

int net_make_tls(nng_tls_config **out, const char *url, const struct net_tls *tls,
	nng_tls_mode mode, char why[NET_WHY])
{
	nng_tls_config *config = NULL;
	char host[256];
	int error = net_errno(nng_tls_config_alloc(&config, mode));

	if (error) {
		snprintf(why, NET_WHY, "TLS: %s: is nng built with it?", strerror(-error));
		return error;
	}
	url_host(url, host, sizeof(host));
	error = net_errno(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED));
	if (!error && mode == NNG_TLS_MODE_CLIENT)
		error = net_errno(nng_tls_config_server_name(
			config, tls->server_name ? tls->server_name : host));
	if (error)
		snprintf(why, NET_WHY, "TLS: %s", strerror(-error));
	if (!error)
		error = add_ca(config, tls, why);
	if (!error)
		error = add_own(config, tls, why);
	if (error) {
		nng_tls_config_free(config);
		return error;
	}
	*out = config;
	return 0;
}
