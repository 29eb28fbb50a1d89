/* Listings, copied out of an index view: for tests that look at many entries at once, or after the
 * view is gone. */
#ifndef TESTS_LISTED_H
#define TESTS_LISTED_H

#include "maildrop/index/view.h"

#include <pop3/client.h>

#include <string.h>

struct listed {
	uint64_t octets;
	uint8_t unique_id_size;
	char unique_id[POP3_UNIQUE_ID_MAX];
};

/* Up to n from message number first (1…): how many, 0 beyond the end, -1 on error. */
static inline int listed_read(struct index_view *view, uint32_t first, struct listed *ret,
			      uint32_t n, struct err *err)
{
	uint32_t have = 0;
	int got = 1;

	while (have < n && got > 0) {
		struct index_entry entries[16];

		got = index_view_read(view, first + have, true, entries,
				      n - have < 16 ? n - have : 16, err);
		for (int i = 0; i < got; i++, have++) {
			memset(&ret[have], 0, sizeof(ret[have]));
			ret[have].octets = entries[i].octets;
			ret[have].unique_id_size = (uint8_t)entries[i].unique_id.size;
			memcpy(ret[have].unique_id, entries[i].unique_id.data,
			       entries[i].unique_id.size);
		}
	}
	return got < 0 ? -1 : (int)have;
}

#endif
