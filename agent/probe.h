/*
 * A BPF object on its way into the kernel: open, set its knobs, load, attach.
 *
 * The objects are compiled by bpf/CMakeLists.txt (`sage_bpf(NAME)`) and embedded
 * in the library sage-bpf as bytes. Between probe_open() and probe_load() knobs
 * are set and programs or maps switched off; after probe_load() the maps have
 * descriptors; probe_attach() starts every program that is still on. The one
 * file that includes libbpf is probe.c. One thread uses a probe at a time; the
 * process needs CAP_BPF and CAP_PERFMON (or root) until it is attached.
 *
 * Every function that returns int gives 0 or a negative errno and passes it on
 * without logging, unless its line says something else.
 */
#ifndef SAGE_AGENT_PROBE_H
#define SAGE_AGENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe;

/* Declares the bytes of an embedded object: PROBE_OBJECT(rpc); then rpc_bpf .. rpc_bpf_end. */
#define PROBE_OBJECT(name) extern const unsigned char name##_bpf[], name##_bpf_end[]

/* Parse the object `begin` .. `end`; `name` is for messages and must outlive the probe. */
int probe_open(struct probe **p, const char *name, const void *begin, const void *end);

/*
 * Set a global `const volatile` of the BPF half, before probe_load(). -ENOENT when
 * the object has no such variable, -EINVAL when its size differs.
 */
int probe_set(struct probe *p, const char *variable, const void *value, size_t size);

/* Size a map, before probe_load(). -ENOENT when there is none of that name. */
int probe_resize(struct probe *p, const char *map, uint32_t entries);

/* Leave a program out, before probe_load(). -ENOENT when there is none of that name. */
int probe_skip(struct probe *p, const char *program);

/*
 * After probe_load(): let other programs go on to this one by the first place of the jump table
 * `map`, instead of being attached itself. -ENOENT when there is none of either name.
 */
int probe_jump(struct probe *p, const char *map, const char *program);

/* Let `map` be that of `other`, which is loaded, before probe_load(). -ENOENT as above. */
int probe_share(struct probe *p, const struct probe *other, const char *map);

/* Verify and load. The kernel's words on a refusal are kept: probe_refusal(). */
int probe_load(struct probe *p);

/* Attach all programs of the object that attach by themselves (iterators do not). */
int probe_attach(struct probe *p);

struct probe_link;

/* Attach one program, until probe_detach(). -ENOENT when there is none of that name. */
int probe_attach_one(struct probe *p, const char *program, struct probe_link **link);

/*
 * Run a uprobe program at an offset of a file, in every process that maps it, now or later,
 * until probe_detach(). Needs CAP_SYS_ADMIN.
 */
int probe_attach_file(struct probe *p, const char *program, const char *path, uint64_t offset,
	bool at_return, struct probe_link **link);

/* Takes NULL. */
void probe_detach(struct probe_link *link);

/* The last line of substance the verifier or libbpf said; "" when nothing was refused. */
const char *probe_refusal(const struct probe *p);

/* Descriptor of a map, owned by the probe. -ENOENT when there is none of that name. */
int probe_map(const struct probe *p, const char *map);

/*
 * The live memory of a global variable that is not const, after probe_load(). Valid until
 * probe_close(). NULL when the object has none of that name and size.
 */
void *probe_variable(const struct probe *p, const char *variable, size_t size);

/* Run an iterator program over a map of this probe, to its end. */
int probe_iterate(struct probe *p, const char *program, const char *map);

/* Programs skipped by the kernel because one was already running on that CPU, summed. */
uint64_t probe_missed(const struct probe *p);

/* Detach and release. Takes NULL. */
void probe_close(struct probe *p);

/* Maps by descriptor. */
int probe_map_lookup(int map, const void *key, void *value);
int probe_map_update(int map, const void *key, const void *value);
int probe_map_delete(int map, const void *key);
/* First key when `key` is NULL, else the next. -ENOENT at the end. */
int probe_map_next(int map, const void *key, void *next);

/*
 * Questions about the running kernel's types (its BTF), which are read for the first one and kept
 * until the next probe_load(). probe_kernel_done() gives their megabytes back when no more are to
 * come.
 */
void probe_kernel_done(void);

/* Whether there is this raw tracepoint ("sock_send_length"), or this function. */
bool probe_kernel_has_tracepoint(const char *name);
bool probe_kernel_has_function(const char *name);

/* Whether a program can be attached to the entry of this kernel function: tries it. */
bool probe_kernel_has_entry(const char *function);

/* A value of a kernel enum: ("cgroup_subsys_id", "cpu_cgrp_id"). -ENOENT when not in the BTF. */
int probe_kernel_enum(const char *type, const char *name);

#endif
