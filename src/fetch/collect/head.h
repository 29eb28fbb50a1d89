/*
 * A fingerprint of a message's headers that survives a move to another server: 64 bits over the
 * fields From, To, Date, Subject and Message-ID (over all fields when none of them is there). With
 * the size it shows which new unique id belongs to which message that was collected before.
 */
#ifndef FETCH_COLLECT_HEAD_H
#define FETCH_COLLECT_HEAD_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct head_hash {
	uint64_t stable, all;
	bool any_stable, in_stable; /* found one; in one now */
	bool done;                  /* the blank line has passed */
	uint8_t name_size;          /* of the field name being read; UINT8_MAX: in the value */
	char name[12];
};

void head_hash_init(struct head_hash *head);
/* Octets as received or as stored: CR is left out of account. */
void head_hash_feed(struct head_hash *head, pop3_span text);
uint64_t head_hash_value(const struct head_hash *head);

#endif
