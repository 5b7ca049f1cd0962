#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *log_program = "sage";
static enum log_level log_shown = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_shown = level;
}

static void write_line(enum log_level level, const char *word, const char *format, va_list args)
{
	char line[1024];

	if (level > log_shown)
		return;
	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s: %s%s\n", log_program, word, line);
}

#define LOG_FUNCTION(name, level, word)                                                            \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		write_line(level, word, format, args);                                             \
		va_end(args);                                                                      \
	}

LOG_FUNCTION(log_error, LOG_ERROR, "error: ")
LOG_FUNCTION(log_warning, LOG_WARNING, "warning: ")
LOG_FUNCTION(log_info, LOG_INFO, "")
LOG_FUNCTION(log_debug, LOG_DEBUG, "debug: ")
