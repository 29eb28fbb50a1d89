/* The metrics of --watch in Prometheus' text format, for a node exporter's textfile collector. */
#ifndef FETCH_WATCH_METRICS_H
#define FETCH_WATCH_METRICS_H

#include "fetch/watch/memory.h"

/* Pure: the text, to be freed. NULL: no memory. */
char *watch_metrics_text(const struct watch_memory *memory);
/* Replaces the file as a whole, so that no reader sees half of it. */
int watch_metrics_write(const char *path, const struct watch_memory *memory, struct err *err);

#endif
