/* Seals: made, checked, and asked for at the analyzer's door. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/identity.h"
#include "common/log.h"
#include "transport_fixture.h"

static const struct identity_key master = {{1, 2, 3, 0xff}};

static const char *write_file(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", transport_dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && !fclose(f));
	return path;
}

static const char *key_file_of(const char *agent)
{
	struct identity_key key;
	char hex[IDENTITY_HEX];

	identity_derive(&master, agent, &key);
	identity_print(&key, hex);
	return write_file(agent, hex);
}

/* printf 'sage agent node-1' | openssl mac -digest SHA256 -macopt hexkey:010203ff00... HMAC */
static void a_derived_key_is_what_hmac_sha_256_says(void **state)
{
	struct identity_key key, other;
	char hex[IDENTITY_HEX];

	(void)state;
	identity_derive(&master, "node-1", &key);
	identity_print(&key, hex);
	assert_string_equal(
		hex, "8de5774c7f379b948956c9fbeb042c0f74fd4c0095e5c74e7e591664b7121a7a");
	identity_derive(&master, "node-2", &other);
	assert_memory_not_equal(&key, &other, sizeof(key));
}

static void a_key_file_holds_64_hex_digits(void **state)
{
	static const char *const bad[] = {"", "\n", "0102",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g"};
	struct identity_key key, before;

	(void)state;
	assert_int_equal(identity_read(write_file("key", "000102030405060708090A0B0C0D0E0F"
							 "101112131415161718191a1b1c1d1e1f\r\n"),
				 &key),
		0);
	for (uint8_t i = 0; i < IDENTITY_KEY; i++)
		assert_int_equal(key.byte[i], i);
	before = key;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(identity_read(write_file("key", bad[i]), &key), -EBADMSG);
	assert_int_equal(identity_read("/nowhere/key", &key), -ENOENT);
	assert_memory_equal(&key, &before, sizeof(key));
}

static void a_seal_breaks_with_any_bit(void **state)
{
	struct wire_poll p = {.agent.name = "node-1"};
	struct identity_key key, other;
	size_t size, sealed_size, inner_size;
	void *message, *sealed;
	uint8_t *byte;

	(void)state;
	identity_derive(&master, "node-1", &key);
	identity_derive(&master, "node-2", &other);
	assert_int_equal(wire_encode_poll(&p, &message, &size), 0);
	assert_int_equal(identity_seal(&key, message, size, &sealed, &sealed_size), 0);
	assert_int_equal(sealed_size, size + IDENTITY_SEAL);
	assert_int_equal(identity_check(&master, sealed, sealed_size), 0);
	assert_memory_equal(identity_unwrap(sealed, sealed_size, &inner_size), message, size);
	assert_int_equal(inner_size, size);
	assert_int_equal(identity_check(&master, message, size), -ENOKEY);
	byte = sealed;
	for (size_t bit = 0; bit < 8 * sealed_size; bit++) {
		byte[bit / 8] = (uint8_t)(byte[bit / 8] ^ 1U << bit % 8);
		assert_int_not_equal(identity_check(&master, sealed, sealed_size), 0);
		byte[bit / 8] = (uint8_t)(byte[bit / 8] ^ 1U << bit % 8);
	}
	for (size_t short_size = 0; short_size < sealed_size; short_size++)
		assert_int_not_equal(identity_check(&master, sealed, short_size), 0);
	free(sealed);
	/* node-2 has a sound key, but it is not node-1's */
	assert_int_equal(identity_seal(&other, message, size, &sealed, &sealed_size), 0);
	assert_int_equal(identity_check(&master, sealed, sealed_size), -EKEYREJECTED);
	free(sealed);
	free(message);
}

/* The size TLS costs are given for. */
static void sealing_16_kib_adds_34_bytes(void **state)
{
	static const uint8_t message[16384];
	struct identity_key key;
	uint64_t best_ns = UINT64_MAX;
	size_t size = 0;

	(void)state;
	identity_derive(&master, "node-1", &key);
	for (int i = 0; i < 200; i++) {
		uint64_t start_ns = clock_monotonic_ns(), took_ns;
		void *sealed;

		assert_int_equal(identity_seal(&key, message, sizeof(message), &sealed, &size), 0);
		took_ns = clock_monotonic_ns() - start_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
		free(sealed);
	}
	printf("sealing 16 KiB: %.1f us\n", (double)best_ns / 1e3);
	assert_int_equal(size, sizeof(message) + 34);
}

static void a_seal_holds_a_batch_or_a_poll_only(void **state)
{
	void *once, *twice;
	size_t size;

	(void)state;
	assert_int_equal(identity_seal(&master, "\1\2", 2, &once, &size), 0);
	assert_int_equal(identity_check(&master, once, size), -EBADMSG);
	assert_int_equal(identity_seal(&master, once, size, &twice, &size), 0);
	assert_int_equal(identity_check(&master, twice, size), -EBADMSG);
	free(once);
	free(twice);
}

static struct uplink *agent_with(int port, const char *key_file)
{
	struct uplink_options o = {.node = "node-1", .spool_bytes = 1 << 20, .key_file = key_file};
	struct uplink *u = NULL;
	char url[64];

	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	o.url = url;
	assert_int_equal(uplink_open(&u, &o), 0);
	return u;
}

/* Until so many messages were turned away. */
static void await_strangers(struct analyzer *a, uint64_t n)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	struct intake_stats s;

	do {
		usleep(1000);
		assert_true(clock_monotonic_ns() < end);
		intake_stats(a->intake, &s);
	} while (s.strangers < n);
}

static void nobody_speaks_for_another_agent(void **state)
{
	static const char *const key_of[] = {NULL, "node-2"};
	struct analyzer a = {.fd = -1, .master = &master};
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	for (unsigned i = 0; i < 2; i++) {
		u = agent_with(intake_port(a.intake), key_of[i] ? key_file_of(key_of[i]) : NULL);
		push_windows(u, 2);
		await_strangers(&a, 4 * (i + 1));
		assert_int_equal(a.windows, 0);
		assert_int_equal(a.polls, 0);
		assert_int_equal(stats_of(u).pending, 2); /* kept, until it has its key */
		uplink_close(u);
	}
	u = agent_with(intake_port(a.intake), key_file_of("node-1"));
	push_windows(u, 3);
	await_drained(u);
	await_count(&a, &a.polls, 1);
	assert_int_equal(a.windows, 3);
	uplink_close(u);
	close_analyzer(&a);
}

static void an_analyzer_without_a_key_takes_sealed_windows(void **state)
{
	struct analyzer a = {.fd = -1};
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_with(intake_port(a.intake), key_file_of("node-1"));
	push_windows(u, 3);
	await_drained(u);
	assert_int_equal(a.windows, 3);
	uplink_close(u);
	close_analyzer(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_derived_key_is_what_hmac_sha_256_says),
		cmocka_unit_test_setup_teardown(
			a_key_file_holds_64_hex_digits, make_dir, remove_dir),
		cmocka_unit_test(a_seal_breaks_with_any_bit),
		cmocka_unit_test(sealing_16_kib_adds_34_bytes),
		cmocka_unit_test(a_seal_holds_a_batch_or_a_poll_only),
		cmocka_unit_test_setup_teardown(
			nobody_speaks_for_another_agent, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			an_analyzer_without_a_key_takes_sealed_windows, make_dir, remove_dir),
	};
	int failed;

	log_init("test", LOG_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0);
}
