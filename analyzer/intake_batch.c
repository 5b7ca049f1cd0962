/* Batches: known ones are answered, new ones made durable together, then acknowledged. */
#include <errno.h>
#include <string.h>

#include "analyzer/intake_state.h"
#include "common/log.h"

#define GROUP_BYTES (8U << 20) /* unfolded, of a group */

static void note_storing(struct intake *i, int error)
{
	uint64_t windows = 0;

	if (error && !i->storing_fails)
		log_error("intake: storing windows: %s; agents keep them meanwhile",
			strerror(-error));
	if (!error && i->storing_fails)
		log_info("intake: windows are stored again");
	i->storing_fails = error != 0;
	if (error) {
		intake_count(i, &i->stats.deferred, i->grouped);
		return;
	}
	for (size_t k = 0; k < i->grouped; k++)
		windows += i->group[k].windows;
	intake_count(i, &i->stats.batches, i->grouped);
	intake_count(i, &i->stats.windows, windows);
}

void intake_flush(struct intake *i)
{
	int error;

	if (!i->grouped)
		return;
	error = i->o.batches(i->o.ctx, i->group, i->grouped);
	note_storing(i, error);
	for (size_t k = 0; k < i->grouped; k++) {
		struct intake_batch *b = &i->group[k];
		uint64_t *last = highwater_of(&i->highwater, &b->agent);

		if (!error && last)
			*last = b->sequence;
		intake_ack(i->waiting[k], last ? *last : 0, !error && last);
		wire_batch_close(&b->batch);
	}
	i->grouped = i->group_bytes = 0;
}

static bool is_grouped(const struct intake *i, const struct wire_agent *agent)
{
	for (size_t k = 0; k < i->grouped; k++)
		if (!memcmp(&i->group[k].agent, agent, sizeof(*agent)))
			return true;
	return false;
}

static void group_batch(struct intake *i, struct net_request *r, const struct wire_batch *b,
	const void *data, size_t size)
{
	i->waiting[i->grouped] = r;
	i->group[i->grouped++] = (struct intake_batch){.agent = b->agent,
		.sequence = b->sequence,
		.windows = b->windows,
		.batch = *b,
		.message = data,
		.size = size};
	i->group_bytes += wire_batch_bytes(b);
	if (i->grouped == INTAKE_GROUP || i->group_bytes >= GROUP_BYTES)
		intake_flush(i);
}

void intake_take_batch(struct intake *i, struct net_request *r, const void *data, size_t size)
{
	struct wire_agent agent;
	struct wire_batch b;
	uint64_t sequence, *last;
	int error;

	if (wire_decode_batch_head(data, size, &agent, &sequence)) {
		intake_refuse(i, r, 0, 1);
		return;
	}
	if (is_grouped(i, &agent)) /* it hung up and came again */
		intake_flush(i);
	last = highwater_of(&i->highwater, &agent);
	if (!last) {
		intake_ack(r, 0, 0);
		return;
	}
	if (sequence <= *last) {
		intake_count(i, &i->stats.duplicates, 1);
		intake_ack(r, *last, 1);
		return;
	}
	error = wire_decode_batch(data, size, &b);
	if (error) {
		intake_refuse(i, r, *last, error == -EBADMSG);
		return;
	}
	group_batch(i, r, &b, data, size);
}
