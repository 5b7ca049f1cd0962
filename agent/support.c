#include "agent/support.h"

#include <string.h>

enum rank { SOCKET, PROBE, LENGTH, SYSCALL };

const struct support_strategy support_strategies[SUPPORT_STRATEGIES] = {
	[SOCKET] = {"socket",
		SEES_SENT | SEES_BEGIN | SEES_EACH | SEES_LAST | SEES_RING | SEES_UNIX},
	[PROBE] = {"probe", SEES_SENT | SEES_BEGIN | SEES_LAST | SEES_RING},
	[LENGTH] = {"length", SEES_EACH | SEES_LAST | SEES_RING | SEES_UNIX},
	[SYSCALL] = {"syscall", SEES_SENT},
};

/* Debian's two in virtual machines (tests/kernel); the last, built without fentry, as it is. */
const struct support_kernel support_kernels[SUPPORT_KERNELS] = {
	{"6.1", 1 << PROBE | 1 << SYSCALL},
	{"6.12", 1 << PROBE | 1 << LENGTH | 1 << SYSCALL},
	{"6.18", 1 << SOCKET | 1 << LENGTH | 1 << SYSCALL},
};

#define MACHINES 3 /* of support_kernels, the first two */
#define HERE 4
#define ALL (MACHINES | HERE)

const struct support_note support_notes[SUPPORT_NOTES] = {
	{'a', SEES_SENT, "at the server's end it is not known which calls failed"},
	{'b', SEES_SENT,
		"at the client's end start-ups, log-ins and what gets no answer may count as "
		"calls, and the protocol may stay tcp"},
	{'c', SEES_SENT, "at the client's end it is not known what was asked for"},
	{'d', SEES_EACH,
		"a call that goes by together with messages before it that are none is missed"},
	{'e', SEES_LAST,
		"an answer whose read has not returned when the connection ends is told as "
		"unanswered by its client"},
	{'f', SEES_BEGIN,
		"a server that loses the CPU as its send returns has that wait in its latency"},
};

const struct support_feature support_features[] = {
	{.name = "tcp", .test = "capture_call_test", .kernels = ALL},
	{.name = "http", .test = "capture_protocol_test", .kernels = ALL, .notes = "a"},
	{.name = "thrift", .test = "capture_protocol_test", .kernels = ALL, .notes = "abd"},
	{.name = "redis", .test = "capture_protocol_test", .kernels = ALL, .notes = "a"},
	{.name = "memcached", .test = "capture_protocol_test", .kernels = ALL, .notes = "a"},
	{.name = "postgresql", .test = "capture_protocol_test", .kernels = ALL, .notes = "abd"},
	{.name = "mysql", .test = "capture_database_test", .kernels = HERE, .notes = "abd"},
	{.name = "mongodb", .test = "capture_database_test", .kernels = HERE, .notes = "abd"},
	{.name = "kafka", .test = "capture_broker_test", .kernels = HERE, .notes = "bd"},
	{.name = "amqp", .test = "capture_broker_test", .kernels = HERE, .notes = "abd"},
	{.name = "nats", .test = "capture_broker_test", .kernels = HERE},
	{.name = "tls", .test = "capture_tls_test", .kernels = HERE, .notes = "b"},
	{.name = "contents of TLS", .test = "capture_tls_test", .kernels = HERE, .notes = "b"},
	{.name = "dns", .test = "capture_dns_test", .kernels = ALL, .best_only = true},
	{.name = "latency of servers",
		.test = "capture_accuracy_test",
		.kernels = HERE,
		.notes = "f"},
	{.name = "self time", .test = "capture_call_test", .kernels = ALL},
	{.name = "connect time", .test = "capture_call_test", .kernels = ALL},
	{.name = "operations", .test = "capture_operation_test", .kernels = ALL, .notes = "c"},
	{.name = "older connections", .test = "capture_limits_test", .kernels = ALL},
	{.name = "IPv6, passed, forked", .test = "capture_connection_test", .kernels = ALL},
	{.name = "redirected by NAT", .test = "capture_connection_test", .kernels = ALL},
	{.name = "half-closed", .test = "capture_transfer_test", .kernels = ALL, .notes = "e"},
	{.name = "sendfile", .test = "capture_transfer_test", .kernels = ALL},
	{.name = "io_uring", .test = "capture_transfer_test", .kernels = ALL, .needs = SEES_RING},
	{.name = "reads by splice",
		.test = "capture_transfer_test",
		.kernels = ALL,
		.needs = SEES_NEVER},
	{.name = "each of a pipeline",
		.test = "capture_protocol_test",
		.kernels = ALL,
		.needs = SEES_NEVER},
	{.name = "unix stream sockets",
		.test = "capture_unix_test",
		.kernels = ALL,
		.needs = SEES_UNIX},
	{.name = "resets", .test = "capture_reset_test", .kernels = ALL},
	{.name = "RTT, retransmits", .test = "capture_link_test", .kernels = MACHINES},
};

const size_t support_feature_count = sizeof(support_features) / sizeof(support_features[0]);

static size_t rank_of(const char *strategy)
{
	size_t rank = 0;

	while (rank < SUPPORT_STRATEGIES && strcmp(support_strategies[rank].name, strategy) != 0)
		rank++;
	return rank;
}

bool support_sees(const char *strategy, unsigned sights)
{
	size_t rank = rank_of(strategy);

	return rank < SUPPORT_STRATEGIES && (support_strategies[rank].sees & sights) == sights;
}

bool support_offers(const char *release, const char *strategy)
{
	size_t rank = rank_of(strategy);

	for (size_t k = 0; k < SUPPORT_KERNELS && rank < SUPPORT_STRATEGIES; k++) {
		size_t length = strlen(support_kernels[k].release);
		char next;

		if (strncmp(release, support_kernels[k].release, length) != 0)
			continue;
		next = release[length];
		if (next < '0' || next > '9')
			return support_kernels[k].strategies >> rank & 1;
	}
	return false;
}

bool support_is_seen(const struct support_feature *f, size_t strategy)
{
	return (support_strategies[strategy].sees & f->needs) == f->needs;
}

bool support_is_tested(const struct support_feature *f, size_t strategy)
{
	for (size_t k = 0; k < SUPPORT_KERNELS; k++) {
		unsigned offered = support_kernels[k].strategies;
		unsigned best = offered & -offered;

		if (f->kernels >> k & 1 && (f->best_only ? best : offered) >> strategy & 1)
			return true;
	}
	return false;
}

bool support_notes_that(
	const struct support_note *n, const struct support_feature *f, size_t strategy)
{
	return f->notes && strchr(f->notes, n->letter) &&
	       !(support_strategies[strategy].sees & n->sight);
}
