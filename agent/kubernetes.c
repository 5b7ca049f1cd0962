#include "agent/kubernetes.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/pods.h"
#include "common/log.h"

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"
#define LINE_MAX_BYTES (1U << 20) /* a pod's JSON is limited to 1.5 MB by etcd; usual: 10 kB */
#define PAUSE_FIRST_MS 1000
#define PAUSE_LONGEST_MS 60000

struct kubernetes {
	struct kubernetes_options options;
	struct pods pods;
	CURLM *multi;
	CURL *stream; /* NULL while pausing */
	struct curl_slist *headers;
	int epoll, timer;
	unsigned pause_ms;
	char *line; /* [LINE_MAX_BYTES] */
	size_t length;
	bool overlong; /* the rest of this line is skipped */
	struct kubernetes_stats stats;
};

bool kubernetes_in_cluster(struct kubernetes_options *o)
{
	static char server[WIRE_NAME];
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	bool v6 = host && strchr(host, ':');

	if (!host || !port || access(ACCOUNT "token", R_OK))
		return false;
	snprintf(server, sizeof(server), v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
	o->server = server;
	o->token_file = ACCOUNT "token";
	o->ca_file = ACCOUNT "ca.crt";
	return true;
}

static void set_timer(struct kubernetes *k, long ms)
{
	struct itimerspec t = {0};

	if (ms >= 0) {
		/* 0 would disarm it. */
		t.it_value.tv_sec = ms / 1000;
		t.it_value.tv_nsec = ms ? ms % 1000 * 1000000 : 1;
	}
	timerfd_settime(k->timer, 0, &t, NULL);
}

static void end_line(struct kubernetes *k)
{
	enum pods_result result = PODS_MALFORMED;

	if (!k->overlong && k->length)
		result = pods_event(&k->pods, k->line, k->length);
	if (k->length) {
		k->stats.events++;
		k->stats.malformed += result == PODS_MALFORMED;
	}
	if (result == PODS_RESTART)
		pods_restart(&k->pods);
	k->length = 0;
	k->overlong = false;
}

static size_t take_bytes(char *data, size_t one, size_t size, void *ctx)
{
	struct kubernetes *k = ctx;

	(void)one;
	k->stats.connected = true;
	k->stats.trouble[0] = 0;
	k->pause_ms = PAUSE_FIRST_MS;
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n') {
			end_line(k);
		} else if (k->length < LINE_MAX_BYTES) {
			k->line[k->length++] = data[i];
		} else {
			k->overlong = true;
		}
	}
	return size;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
	struct kubernetes *k = ctx;
	struct epoll_event e = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(k->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
	if (epoll_ctl(k->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e))
		return -1;
	curl_multi_assign(k->multi, fd, k);
	return 0;
}

static int watch_timer(CURLM *multi, long ms, void *ctx)
{
	(void)multi;
	set_timer(ctx, ms);
	return 0;
}

static struct curl_slist *read_token(const char *file)
{
	char token[8192], header[8300];
	struct curl_slist *headers;
	FILE *f = fopen(file, "re");

	if (!f)
		return NULL;
	if (!fgets(token, sizeof(token), f))
		token[0] = 0;
	fclose(f);
	token[strcspn(token, "\r\n")] = 0;
	snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
	headers = curl_slist_append(NULL, header);
	explicit_bzero(token, sizeof(token));
	explicit_bzero(header, sizeof(header));
	return headers;
}

static int set_url(struct kubernetes *k)
{
	char *node = curl_easy_escape(k->stream, k->options.node, 0);
	char url[1024];
	int n;

	if (!node)
		return -ENOMEM;
	n = snprintf(url, sizeof(url),
		"%s/api/v1/pods?watch=1&allowWatchBookmarks=true&fieldSelector=spec.nodeName%%3D%s"
		"&resourceVersion=%s",
		k->options.server, node, k->pods.version);
	curl_free(node);
	if (n < 0 || (size_t)n >= sizeof(url))
		return -EINVAL;
	curl_easy_setopt(k->stream, CURLOPT_URL, url);
	return 0;
}

static void stop_stream(struct kubernetes *k)
{
	if (k->stream) {
		curl_multi_remove_handle(k->multi, k->stream);
		curl_easy_cleanup(k->stream);
	}
	curl_slist_free_all(k->headers);
	k->stream = NULL;
	k->headers = NULL;
	k->length = 0;
	k->overlong = false; /* the next stream starts with a line of its own */
	k->stats.connected = false;
}

static int start_stream(struct kubernetes *k)
{
	int err;

	k->stream = curl_easy_init();
	if (!k->stream)
		return -ENOMEM;
	err = set_url(k);
	if (err) {
		stop_stream(k);
		return err;
	}
	if (k->options.token_file)
		k->headers = read_token(k->options.token_file);
	curl_easy_setopt(k->stream, CURLOPT_HTTPHEADER, k->headers);
	curl_easy_setopt(k->stream, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(k->stream, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(k->stream, CURLOPT_WRITEDATA, k);
	curl_easy_setopt(k->stream, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(k->stream, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
	curl_easy_setopt(k->stream, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(k->stream, CURLOPT_NOSIGNAL, 1L);
	if (k->options.ca_file)
		curl_easy_setopt(k->stream, CURLOPT_CAINFO, k->options.ca_file);
	if (curl_multi_add_handle(k->multi, k->stream) != CURLM_OK) {
		stop_stream(k);
		return -ENOMEM;
	}
	return 0;
}

/* The server ends a watch every few minutes; that is no trouble worth a line. */
static void end_stream(struct kubernetes *k, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(k->stream, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK) {
		char trouble[WIRE_NAME];

		snprintf(trouble, sizeof(trouble), "%s (HTTP %ld)", curl_easy_strerror(code),
			status);
		if (strcmp(trouble, k->stats.trouble) != 0)
			log_warning("kubernetes %s: pods: %s, names stay those of the cgroups "
				    "until it answers",
				k->options.server, trouble);
		snprintf(k->stats.trouble, sizeof(k->stats.trouble), "%s", trouble);
	}
	if (status == 410) /* Gone: our place in the stream is forgotten */
		pods_restart(&k->pods);
	stop_stream(k);
	k->stats.reconnects++;
	set_timer(k, (long)k->pause_ms);
	k->pause_ms = k->pause_ms * 2 > PAUSE_LONGEST_MS ? PAUSE_LONGEST_MS : k->pause_ms * 2;
}

static void take_messages(struct kubernetes *k)
{
	CURLMsg *m;
	int left;

	while (k->stream && (m = curl_multi_info_read(k->multi, &left))) {
		if (m->msg == CURLMSG_DONE) {
			end_stream(k, m->data.result);
			return;
		}
	}
}

int kubernetes_open(struct kubernetes **out, const struct kubernetes_options *o)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct kubernetes *k;
	int err;

	if (!o->server || !o->node || !o->node[0])
		return -EINVAL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->options = *o;
	k->pause_ms = PAUSE_FIRST_MS;
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	k->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	k->line = malloc(LINE_MAX_BYTES);
	k->multi = curl_multi_init();
	err = pods_open(&k->pods, o->max_pods);
	if (!err && (k->epoll < 0 || k->timer < 0 || !k->line || !k->multi))
		err = -ENOMEM;
	e.data.fd = k->timer;
	if (!err && epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->timer, &e))
		err = -errno;
	if (!err) {
		curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
		curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
		curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, watch_timer);
		curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
		err = start_stream(k);
	}
	if (err) {
		kubernetes_close(k);
		return err;
	}
	*out = k;
	return 0;
}

int kubernetes_fd(const struct kubernetes *k)
{
	return k->epoll;
}

static void timer_fired(struct kubernetes *k)
{
	uint64_t times;
	int running;

	if (read(k->timer, &times, sizeof(times)) != sizeof(times))
		return;
	if (k->stream) {
		curl_multi_socket_action(k->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	} else if (start_stream(k)) {
		set_timer(k, PAUSE_LONGEST_MS);
	}
}

void kubernetes_events(struct kubernetes *k)
{
	struct epoll_event ready[8];
	int n = epoll_wait(k->epoll, ready, 8, 0), running;

	for (int i = 0; i < n; i++) {
		int flags = (ready[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
			    (ready[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			    (ready[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);

		if (ready[i].data.fd == k->timer)
			timer_fired(k);
		else
			curl_multi_socket_action(k->multi, ready[i].data.fd, flags, &running);
	}
	take_messages(k);
}

bool kubernetes_name(const struct kubernetes *k, const char *container_id, char service[WIRE_NAME],
	char container[WIRE_NAME])
{
	const struct pod_container *found;
	const struct pod *pod = pods_find(&k->pods, container_id, &found);

	if (!pod)
		return false;
	memcpy(service, pod->workload, WIRE_NAME);
	memcpy(container, found->name, WIRE_NAME);
	return true;
}

void kubernetes_stats(const struct kubernetes *k, struct kubernetes_stats *out)
{
	*out = k->stats;
	out->pods = k->pods.used;
	out->refused = k->pods.refused;
}

void kubernetes_close(struct kubernetes *k)
{
	if (!k)
		return;
	if (k->multi)
		stop_stream(k);
	curl_multi_cleanup(k->multi);
	pods_close(&k->pods);
	if (k->epoll >= 0)
		close(k->epoll);
	if (k->timer >= 0)
		close(k->timer);
	free(k->line);
	free(k);
}
