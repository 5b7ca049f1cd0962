/*
 * Calls under TLS: nginx and clients of the three libraries' users, with the plaintext and
 * without. Once per strategy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/support.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/strategies.h"
#include "tests/bpf/traffic.h"

#define CALLS 40
#define ERRORS 5 /* of them */

static const char *strategy;
static struct capture *capture;
static struct traffic_cgroup front, back;
static char directory[] = "/tmp/sage-tls-XXXXXX";
static uint16_t port; /* of nginx */

/* ---- a server */

static void write_config(const char *path)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f,
		"daemon off; master_process off; pid %s/pid; error_log %s/error.log;\n"
		"events {}\n"
		"http { access_log off; client_body_temp_path %s; proxy_temp_path %s;\n"
		"fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\n"
		"ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;\n"
		"server { listen 127.0.0.1:%u ssl;\n"
		"location / { return 200 \"ok\\n\"; } location /bad { return 503; } } }\n",
		directory, directory, directory, directory, directory, directory, directory,
		directory, directory, port);
	fclose(f);
}

static pid_t start_nginx(void)
{
	char path[64], key[64], cert[64], log[64];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/nginx.conf", directory);
	snprintf(key, sizeof(key), "%s/key.pem", directory);
	snprintf(cert, sizeof(cert), "%s/cert.pem", directory);
	snprintf(log, sizeof(log), "%s/error.log", directory);
	pid = traffic_exec(&back,
		(char *[]){"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
			"/CN=localhost", "-days", "2", "-keyout", key, "-out", cert, NULL});
	if (traffic_wait(pid))
		return -1;
	close(traffic_listen(&port));
	write_config(path);
	pid = traffic_exec(&back, (char *[]){"nginx", "-e", log, "-c", path, NULL});
	close(traffic_connect(port));
	return pid;
}

/* ---- clients: CALLS requests on one connection, the last ERRORS of them for /bad */

static const char python[] =
	"import http.client, ssl, sys\n"
	"c = ssl.create_default_context(); c.check_hostname = False\n"
	"c.verify_mode = ssl.CERT_NONE\n"
	"h = http.client.HTTPSConnection('127.0.0.1', int(sys.argv[1]), context=c)\n"
	"for i in range(40):\n"
	"    h.request('GET', '/' if i < 35 else '/bad'); h.getresponse().read()\n";

static const char node[] =
	"const https = require('https');\n"
	"const agent = new https.Agent({keepAlive: true, maxSockets: 1});\n"
	"const get = path => new Promise((ok, no) => https.get({agent, port: +process.argv[1],\n"
	"  host: '127.0.0.1', path, rejectUnauthorized: false},\n"
	"  r => r.resume().on('end', ok)).on('error', no));\n"
	"(async () => { for (let i = 0; i < 40; i++) await get(i < 35 ? '/' : '/bad');\n"
	"  agent.destroy(); })();\n";

/* Without a port it waits, to be met. */
static const char go[] =
	"package main\n"
	"import (\"crypto/tls\"; \"io\"; \"net/http\"; \"os\"; \"time\")\n"
	"func main() {\n"
	"    if len(os.Args) < 2 { time.Sleep(time.Minute); return }\n"
	"    c := &http.Client{Transport: &http.Transport{\n"
	"        TLSClientConfig: &tls.Config{InsecureSkipVerify: true},\n"
	"        TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}}\n"
	"    for i := 0; i < 40; i++ {\n"
	"        path := \"/\"\n"
	"        if i >= 35 { path = \"/bad\" }\n"
	"        r, err := c.Get(\"https://127.0.0.1:\" + os.Args[1] + path)\n"
	"        if err != nil { os.Exit(1) }\n"
	"        io.Copy(io.Discard, r.Body); r.Body.Close()\n"
	"    }\n"
	"}\n";

enum client { CURL, CURL_1_2, PYTHON, NODE, GO, CLIENTS };

static char go_program[64]; /* built by the test */

static const struct {
	const char *name, *program;
} client_table[CLIENTS] = {
	[CURL] = {"curl", "/usr/bin/curl"},
	[CURL_1_2] = {"curl with TLS 1.2", "/usr/bin/curl"},
	[PYTHON] = {"python", "/usr/bin/python3"},
	[NODE] = {"node", "/usr/bin/node"},
	[GO] = {"Go", go_program},
};

static pid_t start_client(enum client client)
{
	char good[64], bad[64], number[8];

	snprintf(good, sizeof(good), "https://127.0.0.1:%u/[1-35]", port);
	snprintf(bad, sizeof(bad), "https://127.0.0.1:%u/bad?[1-5]", port);
	snprintf(number, sizeof(number), "%u", port);
	switch (client) {
	case CURL:
		return traffic_exec(
			&front, (char *[]){"curl", "-sk", "--http1.1", good, bad, NULL});
	case CURL_1_2:
		return traffic_exec(&front, (char *[]){"curl", "-sk", "--http1.1", "--tls-max",
						    "1.2", good, bad, NULL});
	case PYTHON:
		return traffic_exec(&front, (char *[]){"/usr/bin/python3", "-c",
						    (char *)(uintptr_t)python, number, NULL});
	case GO:
		return traffic_exec(&front, (char *[]){go_program, number, NULL});
	default:
		return traffic_exec(&front,
			(char *[]){"/usr/bin/node", "-e", (char *)(uintptr_t)node, number, NULL});
	}
}

static bool build_go(void)
{
	char source[64], command[256];
	FILE *f;

	if (access("/usr/bin/go", X_OK))
		return false;
	snprintf(go_program, sizeof(go_program), "%s/client", directory);
	snprintf(source, sizeof(source), "%s/client.go", directory);
	f = fopen(source, "we");
	if (!f)
		return false;
	fputs(go, f);
	fclose(f);
	snprintf(command, sizeof(command), "GOCACHE=%s/cache GO111MODULE=off go build -o %s %s >&2",
		directory, go_program, source);
	return system(command) == 0;
}

/* ---- the facts */

/* Where only what is sent is seen, as of Go programs, a client's errors show at its server. */
static void check(enum client client, unsigned protocol, unsigned errors, bool sent_only)
{
	struct both b = seen_between(&front, &back, port);
	const struct capture_edge *e[] = {&b.client.sum, &b.server.sum};
	const unsigned expected[] = {sent_only || client == GO ? 0 : errors, errors};

	if (access(client_table[client].program, X_OK)) {
		print_message("left out: %s is not installed\n", client_table[client].name);
		return;
	}
	assert_int_equal(traffic_wait(start_client(client)), 0);
	assert_int_equal(seen_wait(capture, &b, CALLS), 0);
	for (int i = 0; i < 2; i++) {
		bool blind = !i && !support_sees(strategy, SEES_SENT);

		if (e[i]->calls != CALLS && !(blind && e[i]->calls <= CALLS + 1))
			fail_msg("%s: %s: %llu calls of %d at the %s", strategy,
				client_table[client].name, (unsigned long long)e[i]->calls, CALLS,
				i ? "server" : "client");
		assert_true(e[i]->unanswered == 0 || blind);
		if (e[i]->errors != expected[i] || e[i]->protocol != protocol)
			fail_msg("%s: %s: %llu errors of %u, protocol %s at the %s", strategy,
				client_table[client].name, (unsigned long long)e[i]->errors,
				expected[i], wire_protocol_name(e[i]->protocol),
				i ? "server" : "client");
	}
}

static void only_application_data_is_a_call(void **state)
{
	(void)state;
	for (enum client c = 0; c < CLIENTS; c++)
		check(c, WIRE_TLS, 0, false);
}

#define PATIENCE_NS 10000000000ULL

static bool runs(pid_t pid, const char *program)
{
	char path[64], link[128] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, link, sizeof(link) - 1) > 0 && strcmp(link, program) == 0;
}

/*
 * nginx and its library are older than the agent. A program nobody has run before, with the
 * functions inside it, is found at the end of the window it comes in.
 */
static void meet(enum client client, char *const argv[])
{
	struct both nobody = seen_between(&front, &back, 0);
	uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
	pid_t pid;

	if (access(client_table[client].program, X_OK))
		return;
	pid = traffic_exec(&front, argv);
	while (!runs(pid, client_table[client].program) && clock_monotonic_ns() < deadline)
		traffic_pause_us(1000);
	assert_int_equal(capture_read(capture, seen_add, &nobody), 0);
	traffic_stop(pid);
}

static void contents_are_known_by_the_library(void **state)
{
	(void)state;
	meet(NODE, (char *[]){"/usr/bin/node", "-e", "setTimeout(() => {}, 60000)", NULL});
	meet(GO, (char *[]){go_program, NULL});
	for (enum client c = 0; c < CLIENTS; c++)
		check(c, WIRE_HTTP1, ERRORS, false);
}

static void what_is_sent_tells_protocol_and_the_servers_errors(void **state)
{
	(void)state;
	for (enum client c = 0; c <= PYTHON; c++)
		check(c, WIRE_HTTP1, ERRORS, true);
}

static int start(bool contents, bool sent_only)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = strategy,
		.tls = contents,
		.tls_sent_only = sent_only};

	return capture_open(&capture, &o);
}

static int with_what_is_sent(void **state)
{
	(void)state;
	return start(true, true);
}

static int without_contents(void **state)
{
	(void)state;
	return start(false, false);
}

static int with_contents(void **state)
{
	(void)state;
	return start(true, false);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	return 0;
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			only_application_data_is_a_call, without_contents, tear_down),
		cmocka_unit_test_setup_teardown(
			contents_are_known_by_the_library, with_contents, tear_down),
		cmocka_unit_test_setup_teardown(what_is_sent_tells_protocol_and_the_servers_errors,
			with_what_is_sent, tear_down),
	};

	strategy = name;
	return cmocka_run_group_tests_name(strategy, tests, NULL, NULL);
}

int main(void)
{
	char command[64];
	int failed;
	pid_t nginx;

	log_init("capture_tls_test", LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	if (access("/usr/sbin/nginx", X_OK) || access("/usr/bin/openssl", X_OK)) {
		printf("skipped: needs nginx and openssl\n");
		return 77;
	}
	if (traffic_cgroup_open(&front, "front") || traffic_cgroup_open(&back, "back") ||
		!mkdtemp(directory))
		return 1;
	if (!build_go())
		go_program[0] = 0;
	nginx = start_nginx();
	failed = nginx < 0 ? 1 : strategies_run(run, NULL);
	if (nginx > 0) {
		kill(nginx, SIGTERM);
		(void)traffic_wait(nginx);
	}
	snprintf(command, sizeof(command), "rm -r %s", directory);
	(void)!system(command);
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	return failed;
}
