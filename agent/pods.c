#include "agent/pods.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pods_open(struct pods *p, uint32_t max)
{
	memset(p, 0, sizeof(*p));
	if (max == 0)
		return -EINVAL;
	p->pod = calloc(max, sizeof(*p->pod));
	if (!p->pod)
		return -ENOMEM;
	p->max = max;
	snprintf(p->version, sizeof(p->version), "0");
	return 0;
}

void pods_close(struct pods *p)
{
	free(p->pod);
	memset(p, 0, sizeof(*p));
}

static struct pod *find_uid(struct pods *p, const char *uid)
{
	for (uint32_t i = 0; i < p->max; i++) {
		if (!strcmp(p->pod[i].uid, uid))
			return &p->pod[i];
	}
	return NULL;
}

static void forget(struct pods *p, struct pod *pod)
{
	memset(pod, 0, sizeof(*pod));
	p->used--;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* "web-7d4b9c6f5d" of a ReplicaSet -> "web": the Deployment's name and its template's hash. */
static void copy_workload(char to[WIRE_NAME], const char *name, const char *hash)
{
	size_t length = strlen(name), tail = strlen(hash);

	if (tail && length > tail + 1 && !strcmp(name + length - tail, hash) &&
		name[length - tail - 1] == '-')
		length -= tail + 1;
	snprintf(to, WIRE_NAME, "%.*s", (int)length, name);
}

/* The controller that made the pod; a pod made by hand is its own workload. */
static void read_workload(char to[WIRE_NAME], const json_t *metadata)
{
	const json_t *owners = json_object_get(metadata, "ownerReferences");
	const json_t *labels = json_object_get(metadata, "labels");
	const json_t *owner;
	size_t i;

	snprintf(to, WIRE_NAME, "%s", text_at(metadata, "name"));
	json_array_foreach(owners, i, owner)
	{
		if (!json_is_true(json_object_get(owner, "controller")))
			continue;
		copy_workload(to, text_at(owner, "name"), text_at(labels, "pod-template-hash"));
	}
}

static void read_containers(struct pods *p, struct pod *pod, const json_t *statuses)
{
	const json_t *status;
	size_t i;

	json_array_foreach(statuses, i, status)
	{
		const char *id = strstr(text_at(status, "containerID"), "://");
		struct pod_container *c;

		if (!id) /* not started yet */
			continue;
		if (pod->containers == PODS_CONTAINERS) {
			p->refused++;
			return;
		}
		c = &pod->container[pod->containers++];
		snprintf(c->id, sizeof(c->id), "%.*s", PODS_ID - 1, id + strlen("://"));
		snprintf(c->name, sizeof(c->name), "%s", text_at(status, "name"));
	}
}

static struct pod *make(struct pods *p, const char *uid)
{
	struct pod *pod = find_uid(p, uid);

	if (pod)
		return pod;
	pod = find_uid(p, "");
	if (!pod) {
		p->refused++;
		return NULL;
	}
	snprintf(pod->uid, sizeof(pod->uid), "%s", uid);
	p->used++;
	return pod;
}

static void take_pod(struct pods *p, const char *uid, const json_t *object)
{
	const json_t *status = json_object_get(object, "status");
	struct pod *pod = make(p, uid);

	if (!pod)
		return;
	pod->containers = 0;
	read_workload(pod->workload, json_object_get(object, "metadata"));
	read_containers(p, pod, json_object_get(status, "initContainerStatuses"));
	read_containers(p, pod, json_object_get(status, "containerStatuses"));
}

static enum pods_result take(struct pods *p, const json_t *event)
{
	const json_t *object = json_object_get(event, "object");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *type = text_at(event, "type"), *uid = text_at(metadata, "uid");
	struct pod *pod;

	if (!strcmp(type, "ERROR"))
		return PODS_RESTART;
	if (text_at(metadata, "resourceVersion")[0])
		snprintf(
			p->version, sizeof(p->version), "%s", text_at(metadata, "resourceVersion"));
	if (!strcmp(type, "BOOKMARK"))
		return PODS_TAKEN;
	if (!uid[0] || strlen(uid) >= sizeof(pod->uid))
		return PODS_MALFORMED;
	if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED")) {
		take_pod(p, uid, object);
		return PODS_TAKEN;
	}
	if (strcmp(type, "DELETED") != 0)
		return PODS_MALFORMED;
	pod = find_uid(p, uid);
	if (pod)
		forget(p, pod);
	return PODS_TAKEN;
}

enum pods_result pods_event(struct pods *p, const char *line, size_t length)
{
	json_t *event = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	enum pods_result result;

	if (!json_is_object(event)) {
		json_decref(event);
		return PODS_MALFORMED;
	}
	result = take(p, event);
	json_decref(event);
	return result;
}

void pods_restart(struct pods *p)
{
	memset(p->pod, 0, p->max * sizeof(*p->pod));
	p->used = 0;
	snprintf(p->version, sizeof(p->version), "0");
}

const struct pod *pods_find(
	const struct pods *p, const char *container_id, const struct pod_container **container)
{
	if (strlen(container_id) < PODS_ID - 1)
		return NULL;
	for (uint32_t i = 0; i < p->max; i++) {
		const struct pod *pod = &p->pod[i];

		for (uint32_t c = 0; c < pod->containers; c++) {
			if (strncmp(pod->container[c].id, container_id, PODS_ID - 1) != 0)
				continue;
			*container = &pod->container[c];
			return pod;
		}
	}
	return NULL;
}
