/* What requests ask for: its name, and that nothing a user may have put in gets into one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/operation.h"
#include "bpf/protocol/operation.h"

struct sample {
	enum rpc_protocol protocol;
	const char *bytes;
	size_t size;
	const char *name; /* NULL = none */
};

#define ROW(protocol, bytes, name)                                                                 \
	{                                                                                          \
		protocol, bytes, sizeof(bytes) - 1, name                                           \
	}
#define HTTP(line, name) ROW(RPC_HTTP1, line " HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n", name)
#define QUERY(text, name) ROW(RPC_POSTGRESQL, "Q\0\0\0\x40" text "\0", name)
#define PARSE(text, name) ROW(RPC_POSTGRESQL, "P\0\0\0\x40\0" text "\0", name)
#define COMMAND(code, text, name) ROW(RPC_MYSQL, "\x40\0\0\0" code text, name)
#define MONGODB(command, name)                                                                     \
	ROW(RPC_MONGODB, "\x60\0\0\0\1\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x4b\0\0\0\2" command, name)

static const struct sample samples[] = {
	HTTP("GET /", "GET /"),
	HTTP("POST /cart/items", "POST /cart/items"),
	HTTP("DELETE /cart/items/", "DELETE /cart/items/"),
	HTTP("GET /api/v1/products/9", "GET /api/v1/products"),
	HTTP("GET /users/42/orders", "GET /users/*/orders"),
	HTTP("GET /a/b/c/d/e", "GET /a/b/c"),
	HTTP("GET /oauth2/token", "GET /oauth2/token"),
	HTTP("GET /i/deadbeef", "GET /i/*"),
	HTTP("GET /i/feed", "GET /i/feed"),
	HTTP("GET /user42/x", "GET /*/x"),
	HTTP("GET /a?b=1", "GET /a"),
	HTTP("GET /a#b", "GET /a"),
	HTTP("GET /a;session=1", "GET /a"),
	HTTP("GET /?q=/secret/path", "GET /"),
	HTTP("GET /me@example.com", "GET /*"),
	HTTP("GET /caf%C3%A9/menu", "GET /*/menu"),
	HTTP("GET http://shop/cart", "GET *"),
	HTTP("OPTIONS *", "OPTIONS *"),
	HTTP("GET /x/3f2504e0-4f89-11d3-9a0c-0305", "GET /x/*"),
	HTTP("GET /cut-off-by-the-end-of-what-is-seen/x", "GET /*"),
	HTTP("GET /list/of-many-words-in-one-part/x", "GET /list/*/x"),

	ROW(RPC_REDIS, "*2\r\n$3\r\nGET\r\n$6\r\nsecret\r\n", "GET"),
	ROW(RPC_REDIS, "*12\r\n$4\r\nmset\r\n$6\r\nsecret\r\n", "MSET"),
	ROW(RPC_REDIS, "*100\r\n$12\r\nZRANGEBYLEX_\r\n$6\r\n", "ZRANGEBYLEX_"),
	ROW(RPC_REDIS, "*3\r\n$9\r\nFT.SEARCH\r\n", "FT.SEARCH"),
	ROW(RPC_REDIS, "*1\r\n$30\r\nno-command-is-as-long-as-this-\r\n", NULL),
	ROW(RPC_REDIS, "*1\r\n$6\r\nno way\r\n", NULL),
	ROW(RPC_REDIS, "*2\r\n$3\r\nGE", NULL),
	ROW(RPC_REDIS, "*2\r\n", NULL),
	ROW(RPC_REDIS, "PING\r\n", NULL),

	ROW(RPC_MEMCACHED, "get secret\r\n", "get"),
	ROW(RPC_MEMCACHED, "mg secret v\r\n", "mg"),
	ROW(RPC_MEMCACHED, "\x80\1\0\6\0\0\0\0secret", "set"),
	ROW(RPC_MEMCACHED, "\x80\x77\0\6\0\0\0\0secret", NULL),

	QUERY("SELECT * FROM orders WHERE x", "SELECT orders"),
	QUERY("select a\nfrom public.orders", "SELECT public.orders"),
	QUERY("SELECT 'a from secret'", "SELECT"),
	QUERY("SELECT 1 /* from secret */", "SELECT"),
	QUERY("SELECT 1 -- from secret", "SELECT"),
	QUERY("SELECT $$ from secret", "SELECT"),
	QUERY("SELECT 1 FROM 'secret'", "SELECT"),
	QUERY("SELECT 1 FROM (SELECT 2) x", "SELECT"),
	QUERY("SELECT 1 FROM t_20240131 x", "SELECT t_*"),
	QUERY("INSERT INTO \"Orders\" VALUES", "INSERT Orders"),
	QUERY("update orders set x = 1", "UPDATE orders"),
	QUERY("COPY orders FROM stdin", "COPY orders"),
	QUERY("DELETE FROM orders;", "DELETE orders"),
	QUERY("BEGIN", "BEGIN"),
	QUERY("SELECT a, b, c, d, e FROM order_details", "SELECT order_det*"),
	QUERY("secret words", "QUERY"),
	QUERY("'secret'", "QUERY"),
	PARSE("SELECT 1 FROM orders", "SELECT orders"),
	ROW(RPC_POSTGRESQL, "P\0\0\0\x20secret\0SELECT 1", "PARSE"),
	ROW(RPC_POSTGRESQL, "B\0\0\0\x20\0secret\0", "EXECUTE"),
	ROW(RPC_POSTGRESQL, "X\0\0\0\x04", NULL),

	COMMAND("\3", "select 1 from orders", "SELECT orders"),
	COMMAND("\3", "\0\1select 1 from orders", "SELECT orders"),
	COMMAND("\3", "\1\1\0\1\3\0\6secret", "QUERY"),
	COMMAND("\3", "INSERT INTO `orders`", "INSERT orders"),
	COMMAND("\x16", "select 1 from orders", "PREPARE SELECT orders"),
	COMMAND("\x16", "secret", "PREPARE"),
	COMMAND("\x17", "\1\0\0\0\0\1\0\0\0", "EXECUTE"),
	COMMAND("\x0e", "", "PING"),
	COMMAND("\x1d", "", NULL),

	ROW(RPC_THRIFT, "\0\0\0\x11\x80\1\0\1\0\0\0\4ping\0\0\0\1secret", "ping"),
	ROW(RPC_THRIFT, "\x80\1\0\1\0\0\0\4ping\0\0\0\1secret", "ping"),
	ROW(RPC_THRIFT, "\x82\x21\1\4pingsecret", "ping"),
	ROW(RPC_THRIFT, "\0\0\0\x40\x82\x21\x81\1\4pingsecret", "ping"),
	ROW(RPC_THRIFT,
		"\x80\1\0\1\0\0\0\x30"
		"a_method_with_a_name_that_is_too_long_to_see",
		"a_method_with_a_name_that_is_too*"),
	ROW(RPC_THRIFT, "\x80\1\0\1\0\0\0\4p ng\0\0\0\1", NULL),

	MONGODB("find\0\6\0\0\0secret", "find"),
	MONGODB("listCollections\0", "listCollection*"),
	ROW(RPC_MONGODB, "\x60\0\0\0\1\0\0\0\0\0\0\0\xdc\7\0\0secret secret secret", NULL),

	ROW(RPC_KAFKA, "\0\0\0\x20\0\0\0\7\0\0\0\1\0\6secret", "Produce"),
	ROW(RPC_KAFKA, "\0\0\0\x20\0\3\0\7\0\0\0\1\0\6secret", "Metadata"),
	ROW(RPC_KAFKA, "\0\0\0\x20\0\x5f\0\7\0\0\0\1\0\6secret", NULL),

	ROW(RPC_AMQP, "\1\0\1\0\0\0\x10\0\x32\0\x0a\0\0\6secret", "queue.declare"),
	ROW(RPC_AMQP, "\1\0\1\0\0\0\x10\0\x32\0\x0b\0\0\6secret", NULL),
	ROW(RPC_AMQP, "\2\0\1\0\0\0\x10\0\x32\0\x0a\0\0\6secret", NULL),

	ROW(RPC_NATS, "PUB secret 5\r\n", NULL),
	ROW(RPC_TCP, "secret", NULL),
	ROW(RPC_TLS, "\x17\3\3\0\x20secret", NULL),
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static struct rpc_operation read_sample(const struct sample *s)
{
	struct rpc_glance g = {.size = (__u32)(s->size < RPC_GLANCE ? s->size : RPC_GLANCE)};
	struct rpc_operation o;

	memcpy(g.byte, s->bytes, g.size);
	operation_of(&o, &g, s->protocol);
	return o;
}

static bool name_sample(const struct sample *s, char name[WIRE_OPERATION])
{
	struct rpc_operation o = read_sample(s);

	return o.tag && operation_name(name, s->protocol, &o.text);
}

static void requests_are_named(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		const char *want = samples[i].name;
		char name[WIRE_OPERATION] = "(none)";
		bool named = name_sample(&samples[i], name);

		if (named == (want != NULL) && (!want || !strcmp(name, want)))
			continue;
		printf("row %zu: %s instead of %s\n", i, name, want ? want : "(none)");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Whatever is in a query, a key or a value, and wherever it is cut. */
static void no_secret_is_in_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		for (size_t size = 0; size <= samples[i].size; size++) {
			struct sample cut = samples[i];
			char name[WIRE_OPERATION] = "";

			cut.size = size;
			if (name_sample(&cut, name) && strstr(name, "secre"))
				fail_msg("row %zu, %zu bytes: %s", i, size, name);
		}
	}
}

static void equal_requests_have_equal_tags_and_others_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct rpc_operation a = read_sample(&samples[i]);

		for (size_t k = 0; k < i; k++) {
			struct rpc_operation b = read_sample(&samples[k]);
			bool same = !memcmp(&a.text, &b.text, sizeof(a.text));

			assert_int_equal(same, a.tag == b.tag);
		}
	}
}

/* Keys come from the kernel half; one that it does not make gives no name or a clean one. */
static void odd_keys_have_no_name(void **state)
{
	static const char *const odd[] = {
		"GET /a b\n", "STEAL /a", "GET", "/a", "GET /\xff", "\x80", "GET /a?b", ""};
	struct rpc_operation_text key;
	char name[WIRE_OPERATION];

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		memset(&key, 0, sizeof(key));
		memcpy(&key, odd[i], strlen(odd[i]));
		assert_false(operation_name(name, WIRE_HTTP1, &key));
	}
	memset(&key, 'A', sizeof(key));
	assert_true(operation_name(name, WIRE_REDIS, &key));
	assert_int_equal(strlen(name), RPC_OPERATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_named),
		cmocka_unit_test(no_secret_is_in_a_name),
		cmocka_unit_test(equal_requests_have_equal_tags_and_others_not),
		cmocka_unit_test(odd_keys_have_no_name),
	};

	return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
