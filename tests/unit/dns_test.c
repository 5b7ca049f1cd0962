/* DNS as the kernel half reads it: packets taken apart, and what a header says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "bpf/protocol/dns.h"

#define UDP "\x9c\x40\0\x35\0\x24\0\0" /* 40000 to 53, 28 bytes of message */
#define QUERY "\x12\x34\1\0\0\1\0\0\0\0\0\0"
#define V4(flags, protocol) "\x45\0\0\x38\0\0" flags "\x40" protocol "\0\0\xc0\0\2\1\xc0\0\2\x35"
#define V6(next) "\x60\0\0\0\0\x24" next "\x40" ADDRESS "\1" ADDRESS "\2"
#define ADDRESS "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"

static bool take(const char *bytes, size_t size, bool v6, struct dns_packet *p)
{
	__u8 b[DNS_PACKET_V6] = {0};

	assert_int_equal(size, v6 ? DNS_PACKET_V6 : DNS_PACKET_V4);
	memcpy(b, bytes, size);
	return dns_packet(b, v6, p);
}

#define TAKE(bytes, v6, p) take(bytes, sizeof(bytes) - 1, v6, p)

static void packets_of_both_families_are_taken_apart(void **state)
{
	static const __u8 source[16] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1";
	struct dns_packet p;

	(void)state;
	assert_true(TAKE(V4("\x40\0", "\x11") UDP QUERY, false, &p));
	assert_memory_equal(p.source, source, 16);
	assert_int_equal(p.dest[15], 0x35);
	assert_int_equal(p.source_port, 40000);
	assert_int_equal(p.dest_port, 53);
	assert_int_equal(p.size, 28);
	assert_int_equal(p.id, 0x1234);
	memset(&p, 0xff, sizeof(p));
	assert_true(TAKE(V6("\x11") UDP QUERY, true, &p));
	assert_memory_equal(p.source, ADDRESS "\1", 16);
	assert_memory_equal(p.dest, ADDRESS "\2", 16);
	assert_int_equal(p.dest_port, 53);
	assert_int_equal(p.id, 0x1234);
}

static void what_is_no_whole_udp_header_is_refused(void **state)
{
	struct dns_packet p;

	(void)state;
	assert_false(TAKE(V4("\x40\0", "\x06") UDP QUERY, false, &p)); /* TCP */
	assert_false(TAKE(V4("\0\x10", "\x11") UDP QUERY, false, &p)); /* a later fragment */
	assert_true(TAKE(V4("\x20\0", "\x11") UDP QUERY, false, &p));  /* the first one */
	assert_false(TAKE(V6("\x2c") UDP QUERY, true, &p));            /* an extension header */
	assert_false(TAKE(V4("\x40\0", "\x11") "\x9c\x40\0\x35\0\x13\0\0" QUERY, false, &p));
}

static void a_header_says_what_the_message_is(void **state)
{
	static const struct {
		const char *what, *bytes;
		enum rpc_verdict verdict;
	} rows[] = {
		{"query", "\0\1\1\0\0\1\0\0\0\0\0\0", RPC_REQUEST},
		{"with EDNS", "\0\1\1\x20\0\1\0\0\0\0\0\1", RPC_REQUEST},
		{"notify with a record", "\0\1\x24\0\0\1\0\1\0\0\0\0", RPC_REQUEST},
		{"update with prerequisites", "\0\1\x28\0\0\1\0\1\0\2\0\0", RPC_REQUEST},
		{"answer", "\0\1\x85\x80\0\1\0\2\0\0\0\0", RPC_RESPONSE},
		{"cut short", "\0\1\x87\x80\0\1\0\0\0\0\0\0", RPC_RESPONSE},
		{"NXDOMAIN", "\0\1\x81\x83\0\1\0\0\0\1\0\0", RPC_RESPONSE},
		{"FORMERR without the question", "\0\1\x81\1\0\0\0\0\0\0\0\0", RPC_ERROR},
		{"SERVFAIL", "\0\1\x81\2\0\1\0\0\0\0\0\0", RPC_ERROR},
		{"NOTIMP", "\0\1\x81\4\0\1\0\0\0\0\0\0", RPC_ERROR},
		{"REFUSED", "\0\1\x81\5\0\1\0\0\0\0\0\0", RPC_ERROR},
		{"two questions", "\0\1\1\0\0\2\0\0\0\0\0\0", RPC_NOTHING},
		{"query with an answer", "\0\1\1\0\0\1\0\1\0\0\0\0", RPC_NOTHING},
		{"query with an error", "\0\1\1\3\0\1\0\0\0\0\0\0", RPC_NOTHING},
		{"no such operation", "\0\1\x78\0\0\1\0\0\0\0\0\0", RPC_NOTHING},
		{"text", "GET / HTTP/1", RPC_NOTHING},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (dns_message((const __u8 *)rows[i].bytes) != rows[i].verdict)
			fail_msg("%s", rows[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_both_families_are_taken_apart),
		cmocka_unit_test(what_is_no_whole_udp_header_is_refused),
		cmocka_unit_test(a_header_says_what_the_message_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
