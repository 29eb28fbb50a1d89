/*
 * See order.h: fresh messages in the order of their delivery: by the seconds that their
 * names begin with, then by name. An index of a hundred thousand is built at a login, so the
 * seconds are sorted digit by digit, and names are compared only where seconds are the same.
 */
#include "maildrop/maildir/update/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct sort_key {
	uint64_t seconds;
	const char *name;
	uint32_t size, at;
};

static int compare_names(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->size < y->size ? x->size : y->size);

	if (order)
		return order;
	return x->size < y->size ? -1 : x->size > y->size;
}

/* The lowest digit first, each pass keeping the order of the one before; digits that are all the
 * same cost only their count. */
static void sort_seconds(struct sort_key *keys, struct sort_key *spare, uint32_t n)
{
	struct sort_key *from = keys, *to = spare, *swap;

	for (unsigned shift = 0; n && shift < 64; shift += 8) {
		uint32_t counts[256] = {0}, start = 0;

		for (uint32_t i = 0; i < n; i++)
			counts[from[i].seconds >> shift & 255]++;
		if (counts[from[0].seconds >> shift & 255] == n)
			continue;
		for (int digit = 0; digit < 256; digit++) {
			uint32_t count = counts[digit];

			counts[digit] = start;
			start += count;
		}
		for (uint32_t i = 0; i < n; i++)
			to[counts[from[i].seconds >> shift & 255]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != keys)
		memcpy(keys, from, n * sizeof(*keys));
}

static void sort_names(struct sort_key *keys, uint32_t n)
{
	uint32_t first = 0;

	for (uint32_t i = 1; i <= n; i++) {
		if (i < n && keys[i].seconds == keys[first].seconds)
			continue;
		if (i - first > 1)
			qsort(keys + first, i - first, sizeof(*keys), compare_names);
		first = i;
	}
}

enum maildrop_status maildir_order(struct maildir_comparison *c, struct err *err)
{
	uint32_t first = c->model.indexed, n = 0;
	size_t room = c->model.count - first + 1;
	struct sort_key *keys = malloc(2 * room * sizeof(*keys));

	c->order = malloc(room * sizeof(*c->order));
	if (!keys || !c->order) {
		free(keys);
		err_sys(err, EX_TEMPFAIL, ENOMEM, "maildrop %s", c->place->home);
		return MAILDROP_TEMP;
	}
	for (uint32_t i = first; i < c->model.count; i++) {
		const struct model_message *m = &c->model.messages[i];
		pop3_span name = maildir_model_name(&c->model, i);

		if ((m->marks & (MODEL_FRESH | MODEL_DEAD)) != MODEL_FRESH)
			continue;
		keys[n++] = (struct sort_key){.seconds = m->seconds,
					      .name = name.data,
					      .size = (uint32_t)name.size,
					      .at = i};
	}
	sort_seconds(keys, keys + room, n);
	sort_names(keys, n);
	for (uint32_t i = 0; i < n; i++)
		c->order[i] = keys[i].at;
	c->order_count = n;
	free(keys);
	return MAILDROP_OK;
}
