/*
 * The dashboard's one page, as built, inside the binary: plain and gzipped.
 * Constant data, any thread. Links as library sage-dashboard.
 */
#ifndef SAGE_ANALYZER_DASHBOARD_H
#define SAGE_ANALYZER_DASHBOARD_H

#include <stddef.h>

/* The page, from `begin` up to, not including, `end`. */
extern const unsigned char dashboard_html_begin[], dashboard_html_end[];
extern const unsigned char dashboard_gzip_begin[], dashboard_gzip_end[];

#endif
