#include "common/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "common/wire_codec.h"

/* Least bytes of a report and a lease; bounds what a count may claim. */
#define REPORT_LEAST 20
#define LEASE_LEAST 33

#define POLL_MODES 3

static void put_report(struct wire_writer *w, const struct wire_lease_report *p)
{
	wire_put_u64(w, p->id);
	wire_put_u8(w, p->state);
	wire_put_signed(w, p->old_value);
	wire_put_signed(w, p->value);
	wire_put_u64(w, p->at_ns);
	wire_put_text(w, p->detail, sizeof(p->detail));
}

static void get_report(struct wire_reader *r, struct wire_lease_report *p)
{
	p->id = wire_get_u64(r);
	p->state = wire_get_u8(r);
	p->old_value = wire_get_signed(r);
	p->value = wire_get_signed(r);
	p->at_ns = wire_get_u64(r);
	wire_get_text(r, p->detail, sizeof(p->detail));
	if (p->state >= WIRE_LEASE_STATES)
		r->bad = true;
}

int wire_encode_poll(const struct wire_poll *p, void **out, size_t *size)
{
	struct wire_writer w = {0};

	if (p->reports > WIRE_MAX_REPORTS || p->mode >= POLL_MODES)
		return -EINVAL;
	for (uint32_t i = 0; i < p->reports; i++) {
		if (p->report[i].state >= WIRE_LEASE_STATES)
			return -EINVAL;
	}
	wire_put_head(&w, WIRE_POLL);
	wire_put_agent(&w, &p->agent);
	wire_put_u8(&w, p->mode);
	wire_put_varint(&w, p->reports);
	for (uint32_t i = 0; i < p->reports; i++)
		put_report(&w, &p->report[i]);
	return wire_writer_take(&w, out, size);
}

static int get_reports(struct wire_reader *r, struct wire_poll *p)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_REPORTS);

	if (r->bad || (size_t)n * REPORT_LEAST > wire_reader_left(r))
		return -EBADMSG;
	p->report = calloc(n ? n : 1, sizeof(*p->report));
	if (!p->report)
		return -ENOMEM;
	p->reports = n;
	for (uint32_t i = 0; i < n && !r->bad; i++)
		get_report(r, &p->report[i]);
	return r->bad || wire_reader_left(r) ? -EBADMSG : 0;
}

int wire_decode_poll(const void *message, size_t size, struct wire_poll *out)
{
	struct wire_poll p = {0};
	struct wire_reader r;
	int error;

	wire_reader_init(&r, message, size);
	wire_get_head(&r, WIRE_POLL);
	wire_get_agent(&r, &p.agent);
	p.mode = wire_get_u8(&r);
	if (r.bad || p.mode >= POLL_MODES)
		return -EBADMSG;
	error = get_reports(&r, &p);
	if (error) {
		wire_poll_close(&p);
		return error;
	}
	*out = p;
	return 0;
}

static void put_lease(struct wire_writer *w, const struct wire_lease *l)
{
	wire_put_u64(w, l->id);
	wire_put_u64(w, l->epoch);
	wire_put_u64(w, l->cgroup_id);
	wire_put_text(w, l->path, sizeof(l->path));
	wire_put_u8(w, l->knob);
	wire_put_signed(w, l->expected);
	wire_put_signed(w, l->value);
	wire_put_u32(w, l->ttl_ms);
	wire_put_text(w, l->reason, sizeof(l->reason));
}

static void get_lease(struct wire_reader *r, struct wire_lease *l)
{
	l->id = wire_get_u64(r);
	l->epoch = wire_get_u64(r);
	l->cgroup_id = wire_get_u64(r);
	wire_get_text(r, l->path, sizeof(l->path));
	l->knob = wire_get_u8(r);
	l->expected = wire_get_signed(r);
	l->value = wire_get_signed(r);
	l->ttl_ms = wire_get_u32(r);
	wire_get_text(r, l->reason, sizeof(l->reason));
	if (l->knob >= WIRE_KNOBS)
		r->bad = true;
}

int wire_encode_leases(const struct wire_leases *l, void **out, size_t *size)
{
	struct wire_writer w = {0};

	if (l->leases > WIRE_MAX_LEASES)
		return -EINVAL;
	for (uint32_t i = 0; i < l->leases; i++) {
		if (l->lease[i].knob >= WIRE_KNOBS)
			return -EINVAL;
	}
	wire_put_head(&w, WIRE_LEASES);
	wire_put_u64(&w, l->epoch);
	wire_put_varint(&w, l->leases);
	for (uint32_t i = 0; i < l->leases; i++)
		put_lease(&w, &l->lease[i]);
	return wire_writer_take(&w, out, size);
}

static int get_leases(struct wire_reader *r, struct wire_leases *l)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_LEASES);

	if (r->bad || (size_t)n * LEASE_LEAST > wire_reader_left(r))
		return -EBADMSG;
	l->lease = calloc(n ? n : 1, sizeof(*l->lease));
	if (!l->lease)
		return -ENOMEM;
	l->leases = n;
	for (uint32_t i = 0; i < n && !r->bad; i++)
		get_lease(r, &l->lease[i]);
	return r->bad || wire_reader_left(r) ? -EBADMSG : 0;
}

int wire_decode_leases(const void *message, size_t size, struct wire_leases *out)
{
	struct wire_leases l = {0};
	struct wire_reader r;
	int error;

	wire_reader_init(&r, message, size);
	wire_get_head(&r, WIRE_LEASES);
	l.epoch = wire_get_u64(&r);
	error = get_leases(&r, &l);
	if (error) {
		wire_leases_close(&l);
		return error;
	}
	*out = l;
	return 0;
}
