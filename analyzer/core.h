/*
 * The analyzer's state and the one loop that changes it.
 *
 * Threads. Intake's thread calls core_batches() (stores, then queues; bounded, refuses when
 * full), core_poll() and core_last_sequence(). The loop thread runs core_step(): it alone
 * changes the recording, incidents and the model, holding `lock` while it does; it reads
 * them without. HTTP threads read, and change mode and actions, with `lock` held
 * (core_lock()); targets they leave for the loop to set. The trainer works on copies. Diagnosing
 * happens on the loop thread without the lock, so the interface keeps answering.
 */
#ifndef SAGE_ANALYZER_CORE_H
#define SAGE_ANALYZER_CORE_H

#include <pthread.h>

#include "analyzer/act.h"
#include "analyzer/diagnose.h"
#include "analyzer/incident.h"
#include "analyzer/live.h"
#include "analyzer/slo.h"
#include "analyzer/store.h"
#include "analyzer/trainer.h"

#define CORE_QUEUE 4096              /* batches stored but not yet summed up */
#define CORE_QUEUE_BYTES (64U << 20) /* unfolded */
#define CORE_WANTED 16               /* targets set by hand and not yet taken */
#define CORE_INCIDENTS 512           /* remembered as not normal; all are in the store */

struct intake;
struct intake_batch;

struct core_options {
	const char *data; /* directory */
	double window_s;
	double keep_s;   /* of rows, in memory */
	double retain_s; /* in the store */
	uint64_t retain_bytes;
	size_t train_after; /* windows */
	double retrain_s;
	enum method method;
	enum act_mode mode;
	bool mode_given;      /* else the mode kept from the last run counts */
	const char *slo_file; /* or NULL */
};

struct core_incident {
	int64_t id;
	char entity[300], metric[64];
	double target, started_s, detected_s, diagnosed_s, ended_s, peak; /* NaN until known */
	enum incident_state state;
	json_t *diagnosis;     /* owned; NULL until there is one */
	double seen_s;         /* end of the newest window in the diagnosis */
	double next_s, cost_s; /* monotonic: when to refresh the diagnosis; what the last took */
};

struct core_batch {
	int64_t id;              /* in the store */
	struct wire_batch batch; /* owned */
	size_t bytes;
};

/* Rows in memory that the store does not have yet, by their starts. */
struct core_unstored {
	double *start_s; /* [rows] ascending, room for one more than are kept in memory; owned */
	size_t rows;
};

struct core_model {
	struct model *model; /* NULL while cold */
	int64_t version;
	double trained_at, error, training_s;
	double learnt;    /* share of the parameters that the last training learnt */
	size_t windows;   /* that all of them were learnt from */
	double attempt_s; /* monotonic: when a training of all was last begun; 0 = never */
	double looked_s;  /* the same of one of what changed */
};

struct core {
	struct core_options options;
	struct store *store;
	struct trainer *trainer;

	pthread_mutex_t queue_lock; /* the queue, `wanted` */
	pthread_cond_t queue_filled;
	struct core_batch queue[CORE_QUEUE];
	size_t queue_first, queued, queued_bytes;
	bool wanted; /* the loop has something else to do */

	pthread_mutex_t lock; /* everything below, as said above */
	struct live live;
	struct act *act;
	struct incident_rule rule;
	struct incident_watch watch[SLO_MAX];          /* [slos] beside the recording's targets */
	int64_t watched[SLO_MAX];                      /* id of the open incident, 0 = none */
	struct core_incident incident[CORE_INCIDENTS]; /* [incidents] oldest first */
	size_t incidents;
	struct core_model model;
	struct slo_text wanted_slo[CORE_WANTED]; /* [wanted_slos] set by hand, not yet taken */
	size_t wanted_slos;
	int64_t merged; /* last batch summed up */
	struct core_unstored unstored;
	uint64_t act_seen;        /* revision persisted */
	uint64_t malformed;       /* stored batches that could not be read back */
	uint64_t unsummed;        /* agents' windows lost for want of memory */
	uint64_t forgotten;       /* rows that left memory before the store took them */
	_Atomic uint64_t refused; /* batches refused because the queue was full; any thread */
	uint64_t diagnoses;
	double started_s, stepped_s,
		trimmed_s; /* monotonic; of the process, last step, last trim */
	double judged_s;   /* start of the newest window judged */
	void (*wake)(void *ctx, const char *agent); /* leases changed; may be NULL */
	void *wake_ctx;
	struct intake *intake; /* asked for its counts; NULL without one */
};

/* Opens the store and restores from it. On failure -errno with one line in `why`. */
int core_open(struct core **out, const struct core_options *o, char *why, size_t why_size);
void core_close(struct core *c);

/*
 * For intake; any thread, the first by one at a time. 0 = all are durable and queued, their
 * content taken over; else the agents must send them again.
 */
int core_batches(void *core, struct intake_batch *b, size_t n);
int core_poll(void *core, const struct wire_poll *p, struct wire_leases *out);
uint64_t core_last_sequence(void *core, const struct wire_agent *a);

/* Wait up to timeout_ms for work, then do all there is. Loop thread only. */
void core_step(struct core *c, int timeout_ms);

/* Have the loop look at once (an action or the mode was changed by hand). */
void core_nudge(struct core *c);

void core_lock(struct core *c);
void core_unlock(struct core *c);

/* ---- with the lock held ------------------------------------------------ */

/* Have the loop set a (checked) target. Returns 0 or -EAGAIN: too many are waiting. */
int core_want_slo(struct core *c, const struct slo_text *s);
int core_set_mode(struct core *c, enum act_mode m);

/* The object of docs/api.md, its actions included. */
json_t *core_incident_json(struct core *c, const json_t *stored);

/* ---- core_rows.c, loop thread ------------------------------------------ */

int core_restore_rows(struct core *c);

/*
 * Store the row that starts at start_s, and those an earlier failure left, oldest first. A batch
 * is given up in the transaction that stores the last row it is part of.
 */
void core_store_row(struct core *c, double start_s);

/* ---- core_incident.c, loop thread -------------------------------------- */

/* A fresh window was closed: judge every target in it. Takes the lock. */
void core_judge(struct core *c, const struct live_closed *w);

/* Diagnose what is ripe, plan, act. Takes the lock in parts. */
void core_diagnose(struct core *c);

/* Take up the incidents that are in the store. */
int core_restore_incidents(struct core *c);

/*
 * Rows outside all incidents plus a margin, for telling what is normal; and outside the ones
 * still open, for a model to learn from. Other threads need the lock. [windows], free(); NULL:
 * out of memory.
 */
bool *core_normal_rows(const struct core *c);
bool *core_history_rows(const struct core *c);

bool core_any_open(const struct core *c);

/* When the first of the open incidents began, Unix; NaN without one. */
double core_open_since(const struct core *c);

/* An object of docs/api.md: of a row; of the one that slowed most at the culprit, else null. */
json_t *core_operation_json(const struct operation_row *r);
json_t *core_slowed_operation(
	const struct core *c, const struct core_incident *n, const struct diagnosis *d);

/* ---- core_slo.c, loop thread ------------------------------------------- */

/* Set a target and keep it; with the lock held. Returns as slo_set(), or the store's errors. */
int core_set_slo(struct core *c, const struct slo_text *s);

/* Set what core_want_slo() left. Takes the lock. */
void core_take_slos(struct core *c);

/* From the store, then from the file of the options, which wins. */
int core_restore_slos(struct core *c);
int core_read_slo_file(struct core *c, char *why, size_t why_size);

/* ---- core_model.c, loop thread ----------------------------------------- */

void core_train(struct core *c);
int core_restore_model(struct core *c);

#endif
