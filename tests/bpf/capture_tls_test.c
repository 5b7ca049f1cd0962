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
#include "common/log.h"
#include "tests/bpf/seen.h"
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

enum client { CURL, CURL_1_2, PYTHON, NODE, CLIENTS };

static const struct {
	const char *name, *program;
} client_table[CLIENTS] = {
	[CURL] = {"curl", "/usr/bin/curl"},
	[CURL_1_2] = {"curl with TLS 1.2", "/usr/bin/curl"},
	[PYTHON] = {"python", "/usr/bin/python3"},
	[NODE] = {"node", "/usr/bin/node"},
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
	default:
		return traffic_exec(&front,
			(char *[]){"/usr/bin/node", "-e", (char *)(uintptr_t)node, number, NULL});
	}
}

static struct both run_client(enum client client)
{
	struct both b = seen_between(&front, &back, port);

	if (access(client_table[client].program, X_OK)) {
		print_message("skipped: no %s\n", client_table[client].program);
		skip();
	}
	assert_int_equal(traffic_wait(start_client(client)), 0);
	assert_int_equal(seen_wait(capture, &b, CALLS), 0);
	return b;
}

/* ---- the facts */

static void check(enum client client, unsigned protocol, unsigned errors)
{
	struct both b = run_client(client);
	const struct capture_edge *e[] = {&b.client.sum, &b.server.sum};

	for (int i = 0; i < 2; i++) {
		bool blind = !i && strcmp(strategy, "length") == 0; /* to what the client sends */

		if (e[i]->calls != CALLS && !(blind && e[i]->calls <= CALLS + 1))
			fail_msg("%s: %s: %llu calls of %d at the %s", strategy,
				client_table[client].name, (unsigned long long)e[i]->calls, CALLS,
				i ? "server" : "client");
		assert_true(e[i]->unanswered == 0 || blind);
		assert_int_equal(e[i]->errors, errors);
		assert_int_equal(e[i]->protocol, protocol);
	}
}

static void only_application_data_is_a_call(void **state)
{
	(void)state;
	for (enum client c = 0; c < CLIENTS; c++)
		check(c, WIRE_TLS, 0);
}

static int set_up(void **state)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(), .strategy = strategy};

	(void)state;
	return capture_open(&capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	return 0;
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_application_data_is_a_call, set_up, tear_down),
	};
	static const char *const all[] = {"socket", "length", "syscall"};
	int failed = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		strategy = all[i];
		failed += cmocka_run_group_tests_name(strategy, tests, NULL, NULL);
	}
	return failed;
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
	nginx = start_nginx();
	failed = nginx < 0 ? 1 : run_all();
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
