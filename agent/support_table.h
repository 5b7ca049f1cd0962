/* The table of support.h for people, in Markdown of at most 80 columns, and for scripts. */
#ifndef SAGE_AGENT_SUPPORT_TABLE_H
#define SAGE_AGENT_SUPPORT_TABLE_H

#include <jansson.h>
#include <stdio.h>

void support_table_print(FILE *f);

/* New; NULL without memory. */
json_t *support_table_json(void);

#endif
