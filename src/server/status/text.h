/* The answers of status, as text. The table gives names and labels; out takes the text. */
#ifndef SERVER_STATUS_TEXT_H
#define SERVER_STATUS_TEXT_H

#include "server/status/samples.h"

#include <stdio.h>

/* All that an answer is made of. */
struct text_source {
	const struct totals *totals;
	const struct samples *samples; /* NULL: none */
	const struct config *config;   /* names of databases */
	uint64_t now;                  /* seconds since 1970 */
};

/* For Prometheus: its text format 0.0.4, or OpenMetrics 1.0. */
void text_metrics(const struct text_source *source, bool open_metrics, FILE *out);
/* The reason why sessions are not served; NULL: they are. */
const char *text_not_ready(const struct totals *totals);
void text_json(const struct text_source *source, FILE *out);

#endif
