/* See view.h. In fronts: a keeper may have been made to send any two files. */
#include "maildrop/index/view.h"

#include "maildrop/index/index.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

struct index_view {
	struct index index;
	/* The end of the last reading: the next one usually goes on there. */
	uint32_t next_number, next_ordinal;
	size_t next_removed;
};

int index_view_create(int base_fd, int delta_fd, uint64_t delta_size, uint32_t count,
		      uint64_t octets, struct index_view **ret, struct err *err)
{
	struct index_view *view = calloc(1, sizeof(*view));

	if (!view)
		return err_sys(err, EX_TEMPFAIL, errno, "index");
	if (index_open(&view->index, &maildrop_kernel, base_fd, delta_fd, delta_size, err) < 0) {
		free(view);
		return -1;
	}
	if (view->index.delta.count != count || view->index.delta.octets != octets) {
		index_view_destroy(view);
		return err_set(err, EX_TEMPFAIL, "the index is not the one that was announced");
	}
	*ret = view;
	return 0;
}

void index_view_destroy(struct index_view *view)
{
	if (!view)
		return;
	index_close(&view->index);
	free(view);
}

static void seek_number(struct index_view *view, uint32_t number)
{
	const struct index_delta *delta = &view->index.delta;

	if (view->next_number == number)
		return;
	view->next_number = number;
	view->next_ordinal = index_delta_ordinal(delta, number);
	view->next_removed = view->next_ordinal - (number - 1);
}

/* Returns how many ordinals follow each other from here on: up to a removed one, or the end. */
static uint32_t run_length(const struct index_view *view)
{
	const struct index_delta *delta = &view->index.delta;

	if (view->next_removed < delta->removed_count)
		return delta->removed[view->next_removed] - view->next_ordinal;
	return delta->count - (view->next_number - 1);
}

/* On in the order of ordinals, over removed ones. */
static void advance(struct index_view *view, uint32_t n)
{
	const struct index_delta *delta = &view->index.delta;

	view->next_number += n;
	view->next_ordinal += n;
	while (view->next_removed < delta->removed_count &&
	       delta->removed[view->next_removed] == view->next_ordinal) {
		view->next_removed++;
		view->next_ordinal++;
	}
}

int index_view_read(struct index_view *view, uint32_t first, bool with_ids, struct index_entry *ret,
		    uint32_t n, struct err *err)
{
	uint32_t run;
	int got;

	if (first < 1 || first > view->index.delta.count)
		return 0;
	seek_number(view, first);
	run = run_length(view);
	got = index_read_entries(&view->index, view->next_ordinal, with_ids, ret, n < run ? n : run,
				 err);
	if (got < 0) {
		view->next_number = 0;
		index_drop_buffers(&view->index);
		return -1;
	}
	advance(view, (uint32_t)got);
	return got;
}

void index_view_trim(struct index_view *view)
{
	index_drop_buffers(&view->index);
}
