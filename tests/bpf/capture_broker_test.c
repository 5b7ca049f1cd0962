/* Brokers: what waits for an answer is a call, what is published, pushed or waited for is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "tests/bpf/protocol_facts.h"

/* ---- Kafka, by a client library before a responder of ours, which tells what it answered */

static void kafka_counts_what_is_acknowledged(void **state)
{
	struct both b;
	int answered = run_before_responder("kafka", 21, &b); /* ten more are not acknowledged */

	(void)state;
	assert_int_equal(b.server.sum.protocol, WIRE_KAFKA);
	if (sees_each_message())
		assert_int_equal(b.server.sum.calls, answered);
	if (!sees_sends())
		return; /* an answer alone does not tell the protocol */
	assert_protocol(&b, WIRE_KAFKA);
	assert_int_equal(b.client.sum.calls, answered);
}

/* ---- RabbitMQ */

enum { OPEN = 1, SELECT_CONFIRM = 1, DECLARE = 1, DECLARATIONS = 20 };

static struct both run_amqp(const char *kind, uint64_t calls)
{
	uint16_t port = service_port(SERVICE_RABBITMQ);
	struct both b = seen_between(&front, &back, port);

	need_clients();
	assert_int_equal(traffic_wait(start_node(&front, "client.js", kind, port)), 0);
	assert_int_equal(seen_wait(capture, &b, calls), 0);
	return b;
}

static void amqp_methods_that_wait_are_calls(void **state)
{
	struct both b = run_amqp("amqp", OPEN + DECLARATIONS);

	(void)state;
	assert_int_equal(b.server.sum.protocol, WIRE_AMQP);
	assert_int_equal(b.server.sum.calls, OPEN + DECLARATIONS);
	if (!sees_sends())
		return; /* what the server says before its first short frame may be too much */
	assert_protocol(&b, WIRE_AMQP);
	assert_int_equal(b.client.sum.calls, OPEN + DECLARATIONS);
}

static void amqp_publications_and_deliveries_are_none(void **state)
{
	struct both b = run_amqp("amqp-stream", OPEN + SELECT_CONFIRM + DECLARE);

	(void)state;
	assert_int_equal(b.server.sum.calls, OPEN + SELECT_CONFIRM + DECLARE);
	if (sees_sends())
		assert_int_equal(b.client.sum.calls, OPEN + SELECT_CONFIRM + DECLARE);
}

/* ---- NATS */

static void nats_has_no_calls(void **state)
{
	uint16_t port = service_port(SERVICE_NATS);
	struct both b = seen_between(&front, &back, port);

	(void)state;
	need_clients();
	assert_int_equal(traffic_wait(start_node(&front, "client.js", "nats", port)), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls + b.server.sum.calls, 0);
	assert_int_equal(b.client.sum.unanswered + b.server.sum.unanswered, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kafka_counts_what_is_acknowledged),
		cmocka_unit_test(amqp_methods_that_wait_are_calls),
		cmocka_unit_test(amqp_publications_and_deliveries_are_none),
		cmocka_unit_test(nats_has_no_calls),
	};
	static const enum service_kind services[] = {SERVICE_NATS, SERVICE_RABBITMQ};

	return protocol_facts_run("capture_broker_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
