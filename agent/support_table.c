#include "agent/support_table.h"

#include <string.h>

#include "agent/capture.h"
#include "agent/support.h"

#define COLUMNS 78
#define TEXT 400

/* Words in lines; of an item of a list those after the first are indented. */
static void print_wrapped(FILE *f, const char *text)
{
	bool item = *text == '-';
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column && column + 1 + word > COLUMNS) {
			fputs(item ? "\n  " : "\n", f);
			column = 0;
		}
		column += (size_t)fprintf(f, "%s%.*s", column ? " " : "", (int)word, text);
		text += word;
		text += *text == ' ';
	}
	fputc('\n', f);
}

static void print_strategies(FILE *f)
{
	fputs("## Strategies, best first\n\n| strategy |", f);
	for (size_t k = 0; k < SUPPORT_KERNELS; k++)
		fprintf(f, " %-6s |", support_kernels[k].release);
	fputs("\n|----------|", f);
	for (size_t k = 0; k < SUPPORT_KERNELS; k++)
		fputs("--------|", f);
	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++) {
		fprintf(f, "\n| %-8s |", support_strategies[s].name);
		for (size_t k = 0; k < SUPPORT_KERNELS; k++)
			fprintf(f, " %-6s |",
				support_kernels[k].strategies >> s & 1 ? "tested" : "-");
	}
	fputs("\n\n", f);
	print_wrapped(f,
		"`tested`: the tests run under it on that kernel, or fail. `-`: the kernel of the "
		"tests does not offer it; their 6.18 is built without fentry.");
	fputc('\n', f);
	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++) {
		char needs[128], text[TEXT];

		capture_strategy_needs(s, needs, sizeof(needs));
		snprintf(text, sizeof(text), "- `%s` needs %s. Blind: %s.",
			support_strategies[s].name, needs, capture_strategy_blind(s));
		print_wrapped(f, text);
	}
}

/* "yes", "-", or the letters of the notes; in parentheses where no test has seen it. */
static const char *cell(char *to, const struct support_feature *f, size_t strategy)
{
	char letters[SUPPORT_NOTES + 1] = "";
	size_t n = 0;

	for (size_t i = 0; i < SUPPORT_NOTES; i++)
		if (support_notes_that(&support_notes[i], f, strategy))
			letters[n++] = support_notes[i].letter;
	if (!support_is_seen(f, strategy))
		strcpy(letters, "-");
	else if (!n)
		strcpy(letters, "yes");
	sprintf(to, support_is_tested(f, strategy) ? "%s" : "(%s)", letters);
	return to;
}

static void print_feature(FILE *f, const struct support_feature *feature)
{
	char text[SUPPORT_NOTES + 3], kernels[32] = "";

	fprintf(f, "| %-20s |", feature->name);
	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++)
		fprintf(f, " %-7s |", cell(text, feature, s));
	for (size_t k = 0; k < SUPPORT_KERNELS; k++)
		if (feature->kernels >> k & 1)
			sprintf(kernels + strlen(kernels), "%s%s", *kernels ? " " : "",
				support_kernels[k].release);
	fprintf(f, " %-13s |\n", kernels);
}

static void print_features(FILE *f)
{
	fputs("\n## What is seen\n\n", f);
	print_wrapped(f,
		"`yes`: at both ends. A letter: but for what stands below. `-`: not. In "
		"parentheses: by the same code, but no test has seen it under that strategy. "
		"Last column: the kernels of the tests, each under the strategies that it has.");
	fprintf(f, "\n| %-20s |", "");
	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++)
		fprintf(f, " %-7s |", support_strategies[s].name);
	fprintf(f, " %-13s |\n|----------------------|", "tested on");
	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++)
		fputs("---------|", f);
	fputs("---------------|\n", f);
	for (size_t i = 0; i < support_feature_count; i++)
		print_feature(f, &support_features[i]);
	fputc('\n', f);
	for (size_t i = 0; i < SUPPORT_NOTES; i++) {
		char text[TEXT];

		snprintf(text, sizeof(text), "- `%c`: %s.", support_notes[i].letter,
			support_notes[i].text);
		print_wrapped(f, text);
	}
}

/* Each program once, where it comes first, with all that it shows. */
static void print_tests(FILE *f)
{
	fputs("\n## By which test\n\n", f);
	for (size_t i = 0; i < support_feature_count; i++) {
		const char *test = support_features[i].test;
		char text[TEXT];
		size_t n, first = 0;

		while (strcmp(support_features[first].test, test) != 0)
			first++;
		if (first < i)
			continue;
		n = (size_t)snprintf(text, sizeof(text), "- `%s`:", test);
		for (size_t k = i; k < support_feature_count && n < sizeof(text); k++)
			if (!strcmp(support_features[k].test, test))
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s",
					k > i ? ";" : "", support_features[k].name);
		print_wrapped(f, text);
	}
}

void support_table_print(FILE *f)
{
	fputs("# Support\n\n", f);
	print_wrapped(f, "Printed by `sage-agent support --table`. What the machine at hand has, "
			 "and how each protocol is paired, is told by `sage-agent support`.");
	fputc('\n', f);
	print_strategies(f);
	print_features(f);
	print_tests(f);
}

/* ---- for scripts */

static json_t *kernels_json(unsigned mask)
{
	json_t *all = json_array();

	for (size_t k = 0; k < SUPPORT_KERNELS; k++)
		if (mask >> k & 1)
			json_array_append_new(all, json_string(support_kernels[k].release));
	return all;
}

static json_t *strategy_json(size_t s)
{
	char needs[128];
	unsigned kernels = 0;

	capture_strategy_needs(s, needs, sizeof(needs));
	for (size_t k = 0; k < SUPPORT_KERNELS; k++)
		kernels |= (support_kernels[k].strategies >> s & 1) << k;
	return json_pack("{s:s, s:s, s:s, s:o}", "name", support_strategies[s].name, "needs", needs,
		"blind", capture_strategy_blind(s), "kernels", kernels_json(kernels));
}

static json_t *under_json(const struct support_feature *f, size_t s)
{
	json_t *but = json_array();

	for (size_t i = 0; i < SUPPORT_NOTES; i++)
		if (support_notes_that(&support_notes[i], f, s))
			json_array_append_new(but, json_string(support_notes[i].text));
	return json_pack("{s:b, s:b, s:o}", "seen", support_is_seen(f, s), "tested",
		support_is_tested(f, s), "but", but);
}

static json_t *feature_json(const struct support_feature *f)
{
	json_t *under = json_object();

	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++)
		json_object_set_new(under, support_strategies[s].name, under_json(f, s));
	return json_pack("{s:s, s:s, s:o, s:o}", "name", f->name, "test", f->test, "kernels",
		kernels_json(f->kernels), "under", under);
}

json_t *support_table_json(void)
{
	json_t *strategies = json_array(), *features = json_array();

	for (size_t s = 0; s < SUPPORT_STRATEGIES; s++)
		json_array_append_new(strategies, strategy_json(s));
	for (size_t i = 0; i < support_feature_count; i++)
		json_array_append_new(features, feature_json(&support_features[i]));
	return json_pack("{s:o, s:o}", "strategies", strategies, "features", features);
}
