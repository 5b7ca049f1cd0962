#include "agent/tls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tls_process.h"
#include "agent/tls_symbols.h"
#include "common/log.h"

#define MAX_FILES 1024  /* known: most are programs without TLS */
#define MAX_ATTACHED 64 /* of them */
#define MAX_LINKS 8     /* of one file: reads have two */
#define FORGET_SCANS (2 * TLS_PROCESS_SCANS)

PROBE_OBJECT(tls);

struct file {
	uint64_t device, inode; /* inode 0 = a free slot */
	uint32_t used;          /* the scan in which a process had it */
	unsigned links;
	struct probe_link *link[MAX_LINKS];
};

struct tls {
	struct probe *probe;
	bool received;
	struct tls_processes *processes;
	uint32_t scan;
	struct file file[MAX_FILES];
	unsigned attached, links; /* files; functions of them */
	unsigned refused;         /* files, since the start */
	bool full;                /* told of already */
};

/* Which programs belong to a function. */
static const struct {
	const char *at_entry, *at_return;
} programs[TLS_FUNCTIONS] = {
	[TLS_FN_WRITE] = {"tls_write", NULL},
	[TLS_FN_WRITE_EX] = {"tls_write_ex", NULL},
	[TLS_FN_READ] = {"tls_read", "tls_read_done"},
	[TLS_FN_READ_EX] = {"tls_read_ex", "tls_read_done"},
	[TLS_FN_GO_WRITE] = {"tls_write_go",
		NULL}, /* Go moves its stacks: returns are not probed */
};

/* ---- one file */

static void detach(struct tls *t, struct file *f)
{
	t->attached -= f->links != 0;
	t->links -= f->links;
	while (f->links)
		probe_detach(f->link[--f->links]);
}

static int attach_one(struct tls *t, struct file *f, const char *link, const char *program,
	uint64_t offset, bool at_return)
{
	int err;

	if (!program)
		return 0;
	err = probe_attach_file(t->probe, program, link, offset, at_return, &f->link[f->links]);
	if (err)
		return err;
	f->links++;
	return 0;
}

static int attach(struct tls *t, struct file *f, const char *link, const struct tls_symbols *s)
{
	int err = t->attached < MAX_ATTACHED ? 0 : -ENOSPC;

	for (int i = 0; i < TLS_FUNCTIONS && !err; i++) {
		if (!s->offset[i] || (programs[i].at_return && !t->received))
			continue;
		err = attach_one(t, f, link, programs[i].at_entry, s->offset[i], false);
		if (!err)
			err = attach_one(t, f, link, programs[i].at_return, s->offset[i], true);
	}
	t->attached += f->links != 0;
	t->links += f->links;
	if (err)
		detach(t, f);
	return err;
}

static void meet(struct tls *t, struct file *f, const struct tls_mapping *m)
{
	struct tls_symbols symbols;
	int found = tls_symbols_find(m->link, &symbols), err;

	if (!found || found == -ENOEXEC || found == -ENOENT) /* no TLS in it, or gone meanwhile */
		return;
	err = found < 0 ? found : attach(t, f, m->link, &symbols);
	if (!err) {
		log_info("tls: %s: attached", m->path);
		return;
	}
	t->refused++;
	log_warning("tls: %s: not attached: %s; its calls are counted as tls, their contents "
		    "unknown",
		m->path, err == -ENOSPC ? "as many files are attached as may be" : strerror(-err));
}

/* ---- all files */

static struct file *find_file(struct tls *t, const struct tls_mapping *m, struct file **free_slot)
{
	*free_slot = NULL;
	for (size_t i = 0; i < MAX_FILES; i++) {
		struct file *f = &t->file[i];

		if (f->inode == m->inode && f->device == m->device)
			return f;
		if (!f->inode && !*free_slot)
			*free_slot = f;
	}
	return NULL;
}

static void on_mapping(void *ctx, const struct tls_mapping *m)
{
	struct file *slot, *f;
	struct tls *t = ctx;

	f = find_file(t, m, &slot);
	if (f) {
		f->used = t->scan;
		return;
	}
	if (!slot) {
		t->refused++;
		if (!t->full)
			log_warning("tls: over %d programs run here; others are not looked at",
				MAX_FILES);
		t->full = true;
		return;
	}
	*slot = (struct file){.device = m->device, .inode = m->inode, .used = t->scan};
	meet(t, slot, m);
}

void tls_refresh(struct tls *t)
{
	t->scan++;
	tls_processes_scan(t->processes, on_mapping, t);
	for (size_t i = 0; i < MAX_FILES; i++) {
		struct file *f = &t->file[i];

		if (!f->inode || t->scan - f->used <= FORGET_SCANS)
			continue;
		detach(t, f);
		f->inode = 0;
	}
}

void tls_describe(const struct tls *t, char *text, size_t size)
{
	snprintf(text, size, "uprobes: files %u, programs %u, files refused %u", t->attached,
		t->links, t->refused);
}

/* ---- open, close */

static int load(struct tls *t, const struct probe *rpc)
{
	int err = probe_open(&t->probe, "tls", tls_bpf, tls_bpf_end);

	if (!err)
		err = probe_share(t->probe, rpc, "tls_threads");
	if (!err)
		err = probe_share(t->probe, rpc, "tls_heard");
	return err ? err : probe_load(t->probe);
}

int tls_open(struct tls **out, const struct probe *rpc, bool received)
{
	struct tls *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->received = received;
	err = load(t, rpc);
	if (err && t->probe)
		log_warning("tls: not loaded: %s", probe_refusal(t->probe));
	if (!err)
		err = tls_processes_open(&t->processes);
	if (err) {
		tls_close(t);
		return err;
	}
	tls_refresh(t);
	*out = t;
	return 0;
}

void tls_close(struct tls *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < MAX_FILES; i++)
		detach(t, &t->file[i]);
	tls_processes_close(t->processes);
	probe_close(t->probe);
	free(t);
}
