/*
 * The name of a file in a Maildir, taken apart: the part that stays when flags change, the sizes
 * that some programs write into it, when it was delivered; and the unique id a message gets from
 * it. Pure, but for the random part of fresh names.
 */
#ifndef MAILDROP_MAILDIR_FILES_NAME_H
#define MAILDROP_MAILDIR_FILES_NAME_H

#include <pop3/client.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct maildir_name {
	uint8_t unique_size; /* the unique part is the name's beginning */
	bool has_stored, has_octets;
	uint64_t stored, octets; /* ,S= and ,W= : claims */
	uint64_t seconds;        /* leading digits, 0: none */
};

/* name: 1-255 octets of a directory entry. */
void maildir_name_parse(pop3_span name, struct maildir_name *ret);
uint8_t maildir_name_unique(pop3_span name); /* its unique_size only */

/* The unique id by the rule: the unique part itself, or (variant > 0, or when RFC 1939 forbids it)
 * a digest of it. Returns its length. */
int maildir_unique_id(pop3_span unique, unsigned variant, char id[POP3_UNIQUE_ID_MAX]);

#define MAILDIR_FRESH_NAME_MAX 160
/* A name that no other file has or will have; NUL-terminated. Returns its length, -1 with errno. */
int maildir_fresh_name(uint64_t seconds, uint32_t microseconds, const char *host,
		       char name[MAILDIR_FRESH_NAME_MAX]);

#endif
