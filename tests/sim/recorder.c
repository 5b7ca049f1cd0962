#include "tests/sim/recorder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE 4096.0
#define MB 1048576.0

/* What an omission of a random metric draws from. */
static const char *const losable[] = {"self_", "network_", "cpu_throttled_ratio", "cpu_runq_ratio",
	"blk_wait_ratio", "mem_major_faults_per_s", "net_rtt_us", "requests_per_s"};

static const struct {
	const char *name;
	double q; /* negative: the mean */
} statistic[] = {{"mean", -1}, {"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}};

#define STATISTICS (sizeof(statistic) / sizeof(*statistic))

/* One entity of one window. */
struct line {
	struct recorder *r;
	const char *time;
	char entity[2 * APP_NAME + 4];
};

static void put(const struct line *l, const char *metric, double value)
{
	const char *lost = l->r->lost_metric;

	if (!isfinite(value) || (lost && !strncmp(metric, lost, strlen(lost))))
		return;
	gzprintf(l->r->metrics, "%s,%s,%s,%.6g\n", l->time, l->entity, metric, value);
}

static double value_us(const struct hist *h, size_t i)
{
	if (!h->total)
		return NAN;
	return statistic[i].q < 0 ? hist_mean_ns(h) / 1e3
				  : (double)hist_quantile_ns(h, statistic[i].q) / 1e3;
}

static void put_latency(const struct line *l, const char *what, const double us[STATISTICS])
{
	for (size_t i = 0; i < STATISTICS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s_%s_us", what, statistic[i].name);
		put(l, name, us[i]);
	}
}

static void read_latency(double us[STATISTICS], const struct hist *h)
{
	for (size_t i = 0; i < STATISTICS; i++)
		us[i] = value_us(h, i);
}

static const char *service_name(const struct app *a, uint32_t service)
{
	return service == APP_USER ? "user" : a->service[service].name;
}

static void put_calls(struct line *l, uint32_t i)
{
	const struct service_state *t = &l->r->sim->service[i];
	const struct service_counters *was = &l->r->service[i];
	double requests = (double)(t->sum.requests - was->requests), us[STATISTICS];

	read_latency(us, &t->server);
	put_latency(l, "server", us);
	read_latency(us, &t->self);
	put_latency(l, "self", us);
	put(l, "requests_per_s", requests / l->r->window_s);
	put(l, "error_ratio", (double)(t->sum.errors - was->errors) / requests);
}

static void put_cpu(struct line *l, uint32_t i, double ns)
{
	const struct sim *s = l->r->sim;
	const struct cpu_group *g = &s->service[i].cpu, *was = &l->r->cpu[i];
	const struct app_service *a = &s->app->service[i];
	double limit = g->quota > 0 ? g->quota : s->app->host[a->host].cores;
	double used = (g->used - was->used) / ns;

	/* A batch container has no jobs of its own: its threads stand beside none. */
	if (!strncmp(a->name, "batch-", 6))
		used = (g->neighbours_used - was->neighbours_used) / ns;
	put(l, "cpu_cores", used);
	put(l, "cpu_limit_cores", limit);
	put(l, "cpu_util_ratio", used / limit);
	put(l, "cpu_throttled_ratio", (g->throttled_for - was->throttled_for) / ns);
	put(l, "cpu_runq_ratio", (g->waited - was->waited) / ns);
	put(l, "psi_cpu_ratio", (g->stalled - was->stalled) / ns);
}

static void put_memory_and_disk(struct line *l, uint32_t i, double ns)
{
	const struct sim *s = l->r->sim;
	const struct service_state *t = &s->service[i];
	const struct service_counters *was = &l->r->service[i];
	const struct app_service *a = &s->app->service[i];
	double faults = (double)(t->sum.faults - was->faults);
	double reads = (double)(t->sum.reads - was->reads);
	double stall = (t->sum.read_stall_ns - was->read_stall_ns) / ns;
	/* Caches fill as a day goes by. */
	double cache_mb = 2 * (1 - exp(-(double)l->r->windows * l->r->window_s / 3600));
	double used_mb = fmin(t->memory_mb, a->used_mb + a->work_mb + cache_mb);

	put(l, "mem_bytes", used_mb * MB);
	put(l, "mem_util_ratio", used_mb / t->memory_mb);
	put(l, "mem_major_faults_per_s", faults / l->r->window_s);
	/* A page that comes in has one go. */
	put(l, "mem_reclaim_pages_per_s", faults / l->r->window_s);
	put(l, "psi_mem_ratio", reads > 0 ? stall * faults / reads : 0);
	put(l, "blk_read_bytes_per_s", reads * PAGE / l->r->window_s);
	put(l, "blk_wait_ratio", (t->sum.read_wait_ns - was->read_wait_ns) / ns);
	put(l, "psi_io_ratio", stall);
	put(l, "net_rx_bytes_per_s",
		(double)(t->sum.received_bytes - was->received_bytes) / l->r->window_s);
	put(l, "net_tx_bytes_per_s",
		(double)(t->sum.sent_bytes - was->sent_bytes) / l->r->window_s);
}

static void put_service(struct line *l, uint32_t i, double ns)
{
	snprintf(l->entity, sizeof(l->entity), "%s", l->r->sim->app->service[i].name);
	put_calls(l, i);
	put_cpu(l, i, ns);
	put_memory_and_disk(l, i, ns);
}

static void put_edge(struct line *l, uint32_t i, bool client_seen, bool server_seen)
{
	const struct sim *s = l->r->sim;
	const struct app_edge *a = &s->app->edge[i];
	const struct edge_state *e = &s->edge[i];
	const struct edge_counters *was = &l->r->edge[i];
	double client[STATISTICS], server[STATISTICS], calls = (double)(e->sum.calls - was->calls);
	double trips = (double)(e->sum.round_trips - was->round_trips);
	double segments = (double)(e->sum.segments - was->segments);

	snprintf(l->entity, sizeof(l->entity), "%s->%s", service_name(s->app, a->caller),
		service_name(s->app, a->callee));
	read_latency(client, &e->client);
	read_latency(server, &e->server);
	put(l, "requests_per_s", calls / l->r->window_s);
	if (server_seen)
		put_latency(l, "server", server);
	if (!client_seen)
		return;
	put_latency(l, "client", client);
	put(l, "error_ratio", (double)(e->sum.errors - was->errors) / calls);
	put(l, "net_rtt_us", (e->sum.round_trip_ns - was->round_trip_ns) / trips / 1e3);
	put(l, "net_retransmit_ratio", (double)(e->sum.retransmits - was->retransmits) / segments);
	if (!server_seen)
		return;
	for (size_t k = 0; k < STATISTICS; k++)
		client[k] = fmax(0, client[k] - server[k]);
	put_latency(l, "network", client);
}

static void put_host(struct line *l, uint32_t i, double ns)
{
	const struct sim *s = l->r->sim;
	const struct host_state *h = &s->host[i], *was = &l->r->host[i];
	double stolen = (h->cpu.stolen_for - was->cpu.stolen_for) / ns;

	snprintf(l->entity, sizeof(l->entity), "host:%s", s->app->host[i].name);
	put(l, "cpu_util_ratio", (h->cpu.used - was->cpu.used) / ns / h->cpu.cores + stolen);
	put(l, "cpu_steal_ratio", stolen);
	put(l, "blk_util_ratio", fmin(1, (h->disk_busy_ns - was->disk_busy_ns) / ns));
	put(l, "blk_read_bytes_per_s", (h->disk_bytes - was->disk_bytes) / l->r->window_s);
}

static void remember(struct recorder *r)
{
	const struct sim *s = r->sim;

	for (uint32_t i = 0; i < s->app->services; i++) {
		r->service[i] = s->service[i].sum;
		r->cpu[i] = s->service[i].cpu;
	}
	for (uint32_t i = 0; i < s->app->edges; i++)
		r->edge[i] = s->edge[i].sum;
	memcpy(r->host, s->host, s->app->hosts * sizeof(*r->host));
}

double recorder_time(const struct recorder *r, unsigned number)
{
	return RECORDER_EPOCH_S + number * r->window_s;
}

/* Does its agent measure this service now? */
static bool seen(const struct recorder *r, uint32_t service, bool incident)
{
	if (service == APP_USER)
		return true;
	return service != r->lost_service && (incident || !r->young[service]) &&
	       app_exists(&r->sim->app->service[service], r->sim->phase);
}

void recorder_window(struct recorder *r, bool incident)
{
	const struct app *a = r->sim->app;
	double ns = r->window_s * 1e9;
	char time[32];
	struct line l = {.r = r, .time = time};

	snprintf(time, sizeof(time), "%.10g", recorder_time(r, r->windows));
	for (uint32_t i = 0; i < a->services; i++)
		if (seen(r, i, incident))
			put_service(&l, i, ns);
	for (uint32_t i = 0; i < a->edges; i++) {
		bool client = seen(r, a->edge[i].caller, incident);
		bool server = seen(r, a->edge[i].callee, incident);

		if (i != r->lost_edge && (client || server))
			put_edge(&l, i, client, server);
	}
	for (uint32_t i = 0; i < a->hosts; i++)
		put_host(&l, i, ns);
	remember(r);
	r->windows++;
}

void recorder_skip(struct recorder *r)
{
	remember(r);
	r->windows++;
}

void recorder_clear_window(struct sim *s)
{
	for (uint32_t i = 0; i < s->app->services; i++) {
		hist_clear(&s->service[i].server);
		hist_clear(&s->service[i].self);
	}
	for (uint32_t i = 0; i < s->app->edges; i++) {
		hist_clear(&s->edge[i].client);
		hist_clear(&s->edge[i].server);
	}
	hist_clear(&s->user);
}

static FILE *create(const struct recorder *r, const char *name)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s", r->directory, name) >= (int)sizeof(path))
		return NULL;
	return fopen(path, "we");
}

static int write_shape(const struct recorder *r)
{
	const struct app *a = r->sim->app;
	FILE *graph = create(r, "graph.csv"), *placement = create(r, "placement.csv");
	int err = graph && placement ? 0 : -errno;

	if (!err) {
		fputs("caller,callee\n", graph);
		fputs("service,host\n", placement);
		for (uint32_t i = 0; i < a->edges; i++)
			if (i != r->lost_edge)
				fprintf(graph, "%s,%s\n", service_name(a, a->edge[i].caller),
					service_name(a, a->edge[i].callee));
		for (uint32_t i = 0; i < a->services; i++)
			fprintf(placement, "%s,host:%s\n", a->service[i].name,
				a->host[a->service[i].host].name);
	}
	if (graph && fclose(graph))
		err = err ? err : -errno;
	if (placement && fclose(placement))
		err = err ? err : -errno;
	return err;
}

/* The edge of that name, or a random one that is not the user's. SIM_NONE when there is none. */
static uint32_t choose_edge(const struct app *a, const char *name, struct random *random)
{
	if (!strcmp(name, "random") && a->edges > 1) {
		uint32_t edge;

		do
			edge = random_below(random, a->edges);
		while (a->edge[edge].caller == APP_USER);
		return edge;
	}
	for (uint32_t i = 0; i < a->edges; i++) {
		char text[2 * APP_NAME + 4];

		snprintf(text, sizeof(text), "%s->%s", service_name(a, a->edge[i].caller),
			service_name(a, a->edge[i].callee));
		if (!strcmp(text, name))
			return i;
	}
	return SIM_NONE;
}

static int choose_omissions(struct recorder *r, const struct omission *o, uint64_t seed)
{
	const struct app *a = r->sim->app;
	struct random random;

	random_init(&random, seed);
	for (int i = 0; i < 8; i++)
		random_next(&random);
	for (uint32_t i = 0; i < a->services; i++)
		r->young[i] = random_unit(&random) < o->history;
	r->lost_edge = o->edge ? choose_edge(a, o->edge, &random) : SIM_NONE;
	if (o->edge && r->lost_edge == SIM_NONE)
		return -ENOENT;
	r->lost_service = SIM_NONE;
	if (o->entity)
		r->lost_service = strcmp(o->entity, "random")
					  ? app_find_service(a, o->entity)
					  : 1 + random_below(&random, a->services - 1);
	if (o->entity && r->lost_service >= a->services)
		return -ENOENT;
	r->lost_metric = o->metric;
	if (o->metric && !strcmp(o->metric, "random"))
		r->lost_metric = losable[random_below(&random, sizeof(losable) / sizeof(*losable))];
	return 0;
}

int recorder_open(struct recorder *r, const struct sim *s, const char *directory, double window_s,
	const struct omission *o, uint64_t seed)
{
	const struct app *a = s->app;
	char path[4096];
	int err;

	*r = (struct recorder){.sim = s, .directory = directory, .window_s = window_s};
	r->service = calloc(a->services, sizeof(*r->service));
	r->cpu = calloc(a->services, sizeof(*r->cpu));
	r->edge = calloc(a->edges, sizeof(*r->edge));
	r->host = calloc(a->hosts, sizeof(*r->host));
	r->young = calloc(a->services, sizeof(*r->young));
	if (!r->service || !r->cpu || !r->edge || !r->host || !r->young)
		abort();
	err = choose_omissions(r, o, seed);
	if (!err && mkdir(directory, 0777) && errno != EEXIST)
		err = -errno;
	if (!err)
		err = write_shape(r);
	if (!err) {
		snprintf(path, sizeof(path), "%.4000s/metrics.csv.gz", directory);
		r->metrics = gzopen(path, "wbe2");
		err = r->metrics ? 0 : -errno;
	}
	if (err) {
		recorder_close(r);
		return err;
	}
	gzputs(r->metrics, "time,entity,metric,value\n");
	remember(r);
	return 0;
}

int recorder_close(struct recorder *r)
{
	int err = r->metrics && gzclose(r->metrics) != Z_OK ? -EIO : 0;

	free(r->service);
	free(r->cpu);
	free(r->edge);
	free(r->host);
	free(r->young);
	*r = (struct recorder){0};
	return err;
}
