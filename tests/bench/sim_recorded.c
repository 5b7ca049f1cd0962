#include "tests/bench/sim_recorded.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "analyzer/recording.h"
#include "tests/sim/recorder.h"

#define WINDOWS 100
#define SKIPPED 5 /* windows at first: caches fill, connections are made */
#define SEED 1

enum measure { REQUESTS, CORES, SERVER_P50, SERVER_P99, MEASURES };

static const char *const metric[MEASURES] = {
	"requests_per_s", "cpu_cores", "server_p50_us", "server_p99_us"};

struct values {
	double value[MEASURES][WINDOWS];
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double value[WINDOWS])
{
	qsort(value, WINDOWS, sizeof(*value), ascending);
	return value[WINDOWS / 2];
}

/* Windows without a value count as zero: a service nobody asked. */
static void read_recorded(const struct recording *r, const char *service, struct values *out)
{
	uint32_t entity = graph_find(&r->graph, service);

	for (int m = 0; m < MEASURES; m++) {
		const float *value =
			entity == GRAPH_NONE ? NULL : series_values(&r->series, entity, metric[m]);

		for (size_t w = 0; w < WINDOWS; w++) {
			double v = value ? (double)value[w + SKIPPED] : 0;

			out->value[m][w] = isnan(v) ? 0 : v;
		}
	}
}

static void simulate(const struct app *a, double window_s, struct values *out)
{
	struct sim *s = sim_new(a, SEED);

	sim_run(s, s->now_ns + SKIPPED * SIM_START_NS);
	for (size_t w = 0; w < WINDOWS; w++) {
		double used[TOPOLOGY_SERVICES];

		for (uint32_t i = 0; i < a->services; i++)
			used[i] = s->service[i].cpu.used;
		recorder_clear_window(s);
		sim_run(s, s->now_ns + (uint64_t)(window_s * 1e9));
		for (uint32_t i = 0; i < a->services; i++) {
			const struct service_state *t = &s->service[i];

			out[i].value[REQUESTS][w] = (double)t->server.total / window_s;
			out[i].value[CORES][w] = (t->cpu.used - used[i]) / window_s / 1e9;
			out[i].value[SERVER_P50][w] =
				(double)hist_quantile_ns(&t->server, 0.5) / 1e3;
			out[i].value[SERVER_P99][w] =
				(double)hist_quantile_ns(&t->server, 0.99) / 1e3;
		}
	}
	sim_free(s);
}

static void print_service(
	const char *name, struct values *real, struct values *simulated, json_t *rows)
{
	static const double scale[MEASURES] = {1, 1, 1e-3, 1e-3};
	json_t *row = json_pack("{ss}", "service", name);

	printf("%-16s", name);
	for (int m = 0; m < MEASURES; m++) {
		double x = median(real->value[m]), y = median(simulated->value[m]);

		printf("  %7.3g %7.3g %5.2f", x * scale[m], y * scale[m], y / x);
		json_object_set_new(row, metric[m], json_pack("[ff]", x, y));
	}
	printf("\n");
	json_array_append_new(rows, row);
}

int sim_recorded_compare(const struct topology *t, const char *directory, json_t *rows)
{
	static struct values real, simulated[TOPOLOGY_SERVICES];
	struct recording r;
	struct app a;
	char why[256];
	int err = recording_read(&r, directory, why, sizeof(why));

	if (err) {
		fprintf(stderr, "sim_bench: %s\n", why);
		return err;
	}
	if (r.series.windows < WINDOWS + SKIPPED) {
		fprintf(stderr, "sim_bench: %s: less than %d windows\n", directory,
			WINDOWS + SKIPPED);
		recording_clear(&r);
		return -EINVAL;
	}
	app_from_topology(&a, t, (double)sysconf(_SC_NPROCESSORS_ONLN));
	simulate(&a, r.series.window_s, simulated);
	printf("%-16s  %-21s  %-21s  %-21s  %-21s\n", "service", "requests/s", "cores",
		"server p50 ms", "server p99 ms");
	for (uint32_t i = 0; i < a.services; i++) {
		read_recorded(&r, a.service[i].name, &real);
		print_service(a.service[i].name, &real, &simulated[i], rows);
	}
	app_clear(&a);
	recording_clear(&r);
	return 0;
}
