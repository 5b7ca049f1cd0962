#include "analyzer/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/log.h"

#define THREADS 2

struct http {
	struct MHD_Daemon *daemon;
	int fd; /* listening; MHD owns it once the daemon runs */
	unsigned port;
	char *token;
	http_handler *handler;
	void *ctx;
};

/* A request whose body is still coming. */
struct upload {
	char *body;
	size_t size;
	bool too_large;
};

void http_fail(struct http_reply *r, unsigned status, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->status = status;
	json_decref(r->json);
	r->json = json_pack("{ss}", "error", text);
}

const char *http_query(const struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

bool http_takes_gzip(const struct http_request *q)
{
	const char *accepted = header(q->connection, MHD_HTTP_HEADER_ACCEPT_ENCODING);

	return accepted && strstr(accepted, "gzip");
}

/* ---- who may change things ---------------------------------------------- */

static bool from_this_host(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info ? info->client_addr : NULL;
	const struct in6_addr *six;

	if (!a)
		return false;
	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
	if (a->sa_family != AF_INET6)
		return false;
	six = &((const struct sockaddr_in6 *)a)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

/* Compares all of it whatever differs, so that time tells nothing. */
static bool same_secret(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned char differs = strlen(a) != n;

	for (size_t i = 0; i < n && a[i]; i++)
		differs |= (unsigned char)(a[i] ^ b[i]);
	return !differs;
}

/* A browser says which page a POST comes from; only our own may. */
static bool own_origin(struct MHD_Connection *c)
{
	const char *origin = header(c, "Origin"), *host = header(c, MHD_HTTP_HEADER_HOST);
	const char *at = origin ? strstr(origin, "://") : NULL;

	return !origin || (at && host && !strcmp(at + 3, host));
}

/* Names that cannot be made to point here: any page may let its own name do so. */
static bool names_this_host(const char *host)
{
	size_t n = host ? strcspn(host, ":") : 0;

	if (!host)
		return false;
	if (!strncmp(host, "[::1]", 5))
		return !host[5] || host[5] == ':';
	return (n == 9 && !strncasecmp(host, "localhost", n)) ||
	       (!strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n);
}

static bool may_post(const struct http *h, struct MHD_Connection *c, struct http_reply *r)
{
	const char *given = header(c, MHD_HTTP_HEADER_AUTHORIZATION);

	if (!own_origin(c)) {
		http_fail(
			r, 403, "POST from a page of another origin: use the analyzer's own page");
		return false;
	}
	if (h->token && given && !strncmp(given, "Bearer ", 7) && same_secret(given + 7, h->token))
		return true;
	if (h->token) {
		http_fail(r, 401, "POST needs the header Authorization: Bearer TOKEN");
		return false;
	}
	if (from_this_host(c) && names_this_host(header(c, MHD_HTTP_HEADER_HOST)))
		return true;
	http_fail(r, 403, "read-only: start the analyzer with --token-file to allow changes");
	return false;
}

/* ---- answers -------------------------------------------------------------- */

static struct MHD_Response *response_of(struct http_reply *r)
{
	struct MHD_Response *m;
	char *text = r->text;

	if (r->json) {
		text = json_dumps(r->json, JSON_COMPACT | JSON_REAL_PRECISION(15));
		r->type = "application/json; charset=utf-8";
	}
	if (text)
		m = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	else
		m = MHD_create_response_from_buffer(
			r->size, (void *)(uintptr_t)r->data, MHD_RESPMEM_PERSISTENT);
	json_decref(r->json);
	if (!m) {
		free(text);
		return NULL;
	}
	MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, r->type ? r->type : "text/plain");
	MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (r->encoding)
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_ENCODING, r->encoding);
	return m;
}

static enum MHD_Result answer(struct MHD_Connection *c, struct http_reply *r)
{
	struct MHD_Response *m = response_of(r);
	enum MHD_Result result;

	if (!m)
		return MHD_NO;
	result = MHD_queue_response(c, r->status, m);
	MHD_destroy_response(m);
	return result;
}

static json_t *parse_body(const struct upload *u, struct http_reply *r)
{
	json_error_t error;
	json_t *body;

	if (u->too_large) {
		http_fail(r, 413, "body: larger than %u bytes", HTTP_BODY_MAX);
		return NULL;
	}
	body = json_loadb(u->body, u->size, JSON_REJECT_DUPLICATES, &error);
	if (!body)
		http_fail(r, 400, "body: line %d: %s", error.line, error.text);
	return body;
}

static enum MHD_Result handle(const struct http *h, struct MHD_Connection *c, const char *path,
	bool post, const struct upload *u)
{
	struct http_request q = {.path = path, .post = post, .connection = c};
	struct http_reply r = {.status = 200};
	json_t *body = NULL;

	if (!post || may_post(h, c, &r)) {
		if (post && (u->size || u->too_large))
			body = parse_body(u, &r);
		q.body = body;
		if (r.status == 200)
			h->handler(h->ctx, &q, &r);
	}
	json_decref(body);
	return answer(c, &r);
}

static void keep_body(struct upload *u, const char *data, size_t size)
{
	char *grown;

	if (u->too_large || u->size + size > HTTP_BODY_MAX) {
		u->too_large = true;
		return;
	}
	grown = realloc(u->body, u->size + size);
	if (!grown) {
		u->too_large = true;
		return;
	}
	memcpy(grown + u->size, data, size);
	u->body = grown;
	u->size += size;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	struct upload *u = *state;
	bool post = !strcmp(method, MHD_HTTP_METHOD_POST);
	bool get = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
	struct http_reply r = {0};

	(void)version;
	if (!u) {
		*state = calloc(1, sizeof(*u));
		return *state ? MHD_YES : MHD_NO;
	}
	if (*size) {
		keep_body(u, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (post || get)
		return handle(cls, c, path, post, u);
	http_fail(&r, 405, "%s: only GET and POST are known here", method);
	return answer(c, &r);
}

static void on_completed(
	void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode how)
{
	struct upload *u = *state;

	(void)cls;
	(void)c;
	(void)how;
	if (u)
		free(u->body);
	free(u);
	*state = NULL;
}

/* ---- listening ------------------------------------------------------------ */

/* "HOST:PORT" into its halves; the host may stand in brackets or be empty. */
static int split_address(const char *address, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (!colon || !colon[1] || n >= host_size)
		return -EINVAL;
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	memcpy(host, address, n);
	host[n] = 0;
	*port = colon + 1;
	return 0;
}

static int bind_one(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 128))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static unsigned bound_port(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t size = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &size))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

static int listen_at(const char *address, char *why, size_t why_size)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				.ai_socktype = SOCK_STREAM},
			*found;
	char host[256];
	const char *port;
	int fd, code;

	if (split_address(address, host, sizeof(host), &port)) {
		snprintf(why, why_size, "--http %s: want ADDRESS:PORT", address);
		return -EINVAL;
	}
	code = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (code) {
		snprintf(why, why_size, "--http %s: %s", address, gai_strerror(code));
		return -EINVAL;
	}
	fd = bind_one(found);
	freeaddrinfo(found);
	if (fd < 0)
		snprintf(why, why_size,
			"--http %s: cannot listen: %s; choose another port or stop what uses it",
			address, strerror(-fd));
	return fd;
}

int http_open(struct http **out, const struct http_options *o, char *why, size_t why_size)
{
	struct http *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->handler = o->handler;
	h->ctx = o->ctx;
	h->token = o->token ? strdup(o->token) : NULL;
	if (o->token && !h->token) {
		free(h);
		return -ENOMEM;
	}
	h->fd = listen_at(o->address, why, why_size);
	if (h->fd < 0) {
		err = h->fd;
		http_close(h);
		return err;
	}
	h->port = bound_port(h->fd);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, h,
		MHD_OPTION_LISTEN_SOCKET, h->fd, MHD_OPTION_THREAD_POOL_SIZE, THREADS,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		HTTP_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_S,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!h->daemon) {
		snprintf(why, why_size, "--http %s: cannot start serving", o->address);
		http_close(h);
		return -EIO;
	}
	*out = h;
	return 0;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	else if (h->fd >= 0)
		close(h->fd);
	free(h->token);
	free(h);
}

unsigned http_port(const struct http *h)
{
	return h->port;
}
