/*
 * A message on its way to a sink that needs the whole of it: an unnamed file in the state folder
 * (mail may be larger than memory), read back when it is complete. The at-least-once sinks stand on
 * it.
 */
#ifndef FETCH_SINK_SPOOL_H
#define FETCH_SINK_SPOOL_H

#include "fetch/sink/sink.h"

struct spool {
	const struct fetch_files *files;
	int dir, fd; /* fd −1: none open */
	size_t buffered;
	char buffer[16384];
};

int spool_init(struct spool *spool, const struct sink_settings *settings, struct err *err);
void spool_finish(struct spool *spool);
enum sink_result spool_begin(struct spool *spool, struct err *err);
enum sink_result spool_write(struct spool *spool, pop3_span text, struct err *err);
/* Everything is in the file, which is at its start. */
enum sink_result spool_rewind(struct spool *spool, struct err *err);
void spool_drop(struct spool *spool);

#endif
