#include "analyzer/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define EVERY_NODE UINT32_MAX

struct address_key {
	uint8_t address[16];
	uint32_t agent; /* EVERY_NODE unless the address is local to a node */
	uint32_t port;
};

struct claim {
	struct address_key key;
	uint32_t service;
	bool ambiguous;
	double at_s;
	UT_hash_handle hh;
};

void resolve_init(struct resolve *r)
{
	memset(r, 0, sizeof(*r));
}

static void drop(struct resolve *r, struct claim *c)
{
	struct claim *index = r->index;

	HASH_DEL(index, c);
	r->index = index;
	r->entries--;
	free(c);
}

void resolve_clear(struct resolve *r)
{
	struct claim *c = r->index;

	while (c) {
		struct claim *next = c->hh.next;

		drop(r, c);
		c = next;
	}
	resolve_init(r);
}

static bool node_local(const uint8_t address[16])
{
	struct in6_addr a;

	memcpy(&a, address, sizeof(a));
	if (IN6_IS_ADDR_V4MAPPED(&a))
		return address[12] == 127 || (address[12] == 169 && address[13] == 254);
	return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_LINKLOCAL(&a);
}

static struct address_key key_of(uint32_t agent, const uint8_t address[16], uint16_t port)
{
	struct address_key key;

	memset(&key, 0, sizeof(key));
	memcpy(key.address, address, sizeof(key.address));
	key.agent = node_local(address) ? agent : EVERY_NODE;
	key.port = port;
	return key;
}

static void add_claim(
	struct resolve *r, const struct address_key *key, uint32_t service, double now_s)
{
	struct claim *index = r->index;
	struct claim *c = r->entries < RESOLVE_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		r->refused++;
		return;
	}
	c->key = *key;
	c->service = service;
	c->at_s = now_s;
	HASH_ADD(hh, index, key, sizeof(c->key), c);
	r->index = index;
	r->entries++;
}

void resolve_learn(struct resolve *r, uint32_t agent, const uint8_t address[16], uint16_t port,
	uint32_t service, double now_s)
{
	struct address_key key = key_of(agent, address, port);
	struct claim *c, *index = r->index;

	HASH_FIND(hh, index, &key, sizeof(key), c);
	if (!c) {
		add_claim(r, &key, service, now_s);
		return;
	}
	if (now_s - c->at_s > RESOLVE_FORGET_S) {
		c->service = service;
		c->ambiguous = false;
	}
	if (c->service != service)
		c->ambiguous = true;
	if (now_s > c->at_s)
		c->at_s = now_s;
}

uint32_t resolve_find(
	const struct resolve *r, uint32_t agent, const uint8_t address[16], uint16_t port)
{
	struct address_key key = key_of(agent, address, port);
	struct claim *c, *index = r->index;

	HASH_FIND(hh, index, &key, sizeof(key), c);
	if (!c)
		return RESOLVE_UNKNOWN;
	return c->ambiguous ? RESOLVE_AMBIGUOUS : c->service;
}

void resolve_print(const uint8_t address[16], uint16_t port, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct in6_addr a;

	memcpy(&a, address, sizeof(a));
	if (IN6_IS_ADDR_V4MAPPED(&a)) {
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
		snprintf(out, size, "%s:%u", text, port);
		return;
	}
	inet_ntop(AF_INET6, address, text, sizeof(text));
	snprintf(out, size, "[%s]:%u", text, port);
}

void resolve_trim(struct resolve *r, double now_s)
{
	struct claim *c = r->index;

	while (c) {
		struct claim *next = c->hh.next;

		if (now_s - c->at_s > 10.0 * RESOLVE_FORGET_S)
			drop(r, c);
		c = next;
	}
}
