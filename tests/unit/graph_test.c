#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/graph.h"

static void names_decide_what_an_entity_is(void **state)
{
	struct graph g;

	(void)state;
	graph_init(&g);
	uint32_t edge = graph_entity(&g, "front->cart");
	uint32_t host = graph_entity(&g, "host:node-1");

	assert_int_equal(g.entity[edge].kind, ENTITY_EDGE);
	assert_int_equal(g.entity[host].kind, ENTITY_HOST);
	assert_string_equal(g.entity[g.entity[edge].caller].name, "front");
	assert_string_equal(g.entity[g.entity[edge].callee].name, "cart");
	assert_int_equal(graph_find(&g, "front"), g.entity[edge].caller);
	assert_int_equal(graph_edge(&g, "front", "cart"), edge);
	assert_int_equal(g.entities, 4);
	graph_clear(&g);
}

static void malformed_names_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "a->", "->b", "->", "host:", "a->b->c", "host:x->b", "a->host:x", "host:a->b"};
	struct graph g;

	(void)state;
	graph_init(&g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(graph_entity(&g, bad[i]), GRAPH_NONE);
	assert_int_equal(g.entities, 0);
	graph_clear(&g);
}

static void callees_come_before_callers(void **state)
{
	struct graph g;
	uint32_t order[16], at[16] = {0};
	bool cyclic[16];

	(void)state;
	graph_init(&g);
	graph_edge(&g, "user", "front");
	graph_edge(&g, "front", "a");
	graph_edge(&g, "front", "b");
	graph_edge(&g, "a", "store");
	graph_edge(&g, "b", "store");
	assert_int_equal(graph_order(&g, order, cyclic), 5);
	for (uint32_t i = 0; i < 5; i++)
		at[order[i]] = i;
	for (uint32_t i = 0; i < g.entities; i++) {
		if (g.entity[i].kind != ENTITY_EDGE)
			continue;
		assert_true(at[g.entity[i].callee] < at[g.entity[i].caller]);
		assert_false(cyclic[g.entity[i].caller]);
	}
	graph_clear(&g);
}

static void members_of_a_cycle_stand_by_number(void **state)
{
	struct graph g;
	uint32_t order[16];
	bool cyclic[16];

	(void)state;
	graph_init(&g);
	graph_edge(&g, "user", "a"); /* 0, 1 */
	graph_edge(&g, "a", "b");
	graph_edge(&g, "b", "a");
	graph_edge(&g, "b", "leaf");
	graph_edge(&g, "leaf", "leaf");
	assert_int_equal(graph_order(&g, order, cyclic), 4);
	assert_string_equal(g.entity[order[0]].name, "leaf");
	assert_string_equal(g.entity[order[1]].name, "a");
	assert_string_equal(g.entity[order[2]].name, "b");
	assert_string_equal(g.entity[order[3]].name, "user");
	assert_true(cyclic[order[0]] && cyclic[order[1]] && cyclic[order[2]]);
	assert_false(cyclic[order[3]]);
	graph_clear(&g);
}

static void a_chain_of_fifty_thousand_is_ordered(void **state)
{
	enum { LENGTH = 50000 };
	struct graph g;

	(void)state;
	graph_init(&g);
	for (unsigned i = 0; i < LENGTH; i++) {
		char caller[16], callee[16];

		snprintf(caller, sizeof(caller), "s%u", i);
		snprintf(callee, sizeof(callee), "s%u", i + 1);
		assert_int_not_equal(graph_edge(&g, caller, callee), GRAPH_NONE);
	}
	uint32_t *order = calloc(g.entities, sizeof(*order));

	assert_int_equal(graph_order(&g, order, NULL), LENGTH + 1);
	assert_string_equal(g.entity[order[0]].name, "s50000");
	assert_string_equal(g.entity[order[LENGTH]].name, "s0");
	free(order);
	graph_clear(&g);
}

static void a_copy_keeps_numbers_and_stands_alone(void **state)
{
	struct graph g, copy;

	(void)state;
	graph_init(&g);
	uint32_t edge = graph_edge(&g, "user", "front");
	uint32_t host = graph_host(&g, "host:n");

	g.entity[graph_find(&g, "front")].host = host;
	snprintf(g.entity[edge].protocol, sizeof(g.entity[edge].protocol), "http");
	assert_int_equal(graph_copy(&copy, &g), 0);
	graph_clear(&g);
	assert_int_equal(graph_find(&copy, "user->front"), edge);
	assert_int_equal(copy.entity[graph_find(&copy, "front")].host, host);
	assert_string_equal(copy.entity[edge].protocol, "http");
	assert_int_equal(copy.entity[graph_find(&copy, "user")].outs, 1);
	graph_clear(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_decide_what_an_entity_is),
		cmocka_unit_test(malformed_names_are_refused),
		cmocka_unit_test(callees_come_before_callers),
		cmocka_unit_test(members_of_a_cycle_stand_by_number),
		cmocka_unit_test(a_chain_of_fifty_thousand_is_ordered),
		cmocka_unit_test(a_copy_keeps_numbers_and_stands_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
