/*
 * The name of a message's file in new/ and cur/: time of collection, delivery id, host, sizes. For
 * the Maildir sink's delivery and recovery, which both make it and read it. Pure.
 */
#ifndef FETCH_SINK_MAILDIR_NAME_H
#define FETCH_SINK_MAILDIR_NAME_H

#include <stddef.h>
#include <stdint.h>

enum { MAILDIR_FINAL_MAX = 200 };

/* time: microseconds since 1970. stored, octets: size of the file, size in wire form. */
void maildir_final_name(const char *host, const char *id, int64_t time, uint64_t stored,
			uint64_t octets, char *buf, size_t size);
/* The delivery id in such a name (not NUL-terminated there: flags may follow); NULL: the name was
 * not made here. */
const char *maildir_name_id(const char *name);

#endif
