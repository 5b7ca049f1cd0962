/*
 * What the calls of each service ask for, by the minute, over the last few: which operations, how
 * many calls, how long they take. Nothing here goes into a model or a diagnosis; it says
 * more about what they found.
 *
 * Kept in memory alone: OPERATIONS_MAX rows of OPERATIONS_MINUTES; a row that had no calls for as
 * long gives way, else new ones are refused and counted. The analyzer's loop writes, others read
 * under the core's lock.
 */
#ifndef SAGE_ANALYZER_OPERATIONS_H
#define SAGE_ANALYZER_OPERATIONS_H

#include "analyzer/span.h"

#define OPERATIONS_MAX 8192
#define OPERATIONS_MINUTES 12

struct operations {
	void *index;
	size_t rows;
	uint64_t refused;
	int64_t newest;   /* minute since 1970; 0 = nothing came */
	uint64_t last_ns; /* end of the newest window; wall clock */
};

/* Of one service, at one side of its calls. */
struct operation_key {
	char service[WIRE_NAME];
	char name[WIRE_OPERATION];
	uint8_t side, protocol; /* enum wire_side, wire_protocol */
};

struct operation_period {
	uint64_t calls, errors;
	double calls_per_s;
	double mean_us, p50_us, p99_us; /* NaN without calls */
};

struct operation_row {
	struct operation_key key;
	struct operation_period now, before;
	double added; /* time the operation takes more than before: rise of the mean x calls/s, in
			 us per s; 0 where it is not known to have risen */
};

void operations_init(struct operations *o);
void operations_clear(struct operations *o);

/* Add what a window says of one. 0 or -ENOMEM; what is older than all minutes kept is left out. */
int operations_add(struct operations *o, const struct operation_key *key,
	const struct wire_operation_flow *from, const struct wire_window *w);

/*
 * Rows of a service: what there was since the minute of `since_ns` against the minutes before;
 * those that take most time more come first, then those with most calls. *rows is free()d by the
 * caller. 0 or -ENOMEM.
 */
int operations_of_service(const struct operations *o, const char *service, uint64_t since_ns,
	struct operation_row **rows, size_t *count);

/* The start of the period that is `now` where nothing says another: the last two minutes. */
uint64_t operations_recent_ns(const struct operations *o);

/*
 * Of a service's rows (as above) the served operation that explains a rise: it takes
 * most of the time that all of them take more. NULL when none does.
 */
const struct operation_row *operations_slowed(const struct operation_row *rows, size_t count);

#endif
