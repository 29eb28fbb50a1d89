/* What sessions are given of a log in RADOS: a base that is kept and a delta say the same as all of
 * it made anew, whatever the log tells, and a listing that was taken stays as it is. */
#include "maildrop/index/view.h"
#include "maildrop/rados/log/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES_MAX = 6000, IDS = 5000, KEPT = 16, SEEDS = 6, LINE = 120 };

static unsigned char octets[FRAMES_MAX * DROP_FRAME_MAX];
static size_t size;
static uint64_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* Ids are as scattered as random ones, and the same for a number. */
static void id_of(uint32_t number, unsigned char ret[DROP_ID])
{
	uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15u;

	memcpy(ret, &mixed, 8);
	memcpy(ret + 8, &number, 4);
	memset(ret + 12, 7, 4);
}

static void add(uint32_t number)
{
	char own[32];
	struct drop_frame frame = {.kind = DROP_ADD,
				   .octets = number + 2,
				   .stored = number + 1,
				   .arrived = 7,
				   .flags = number % 3 ? DROP_WIRE_FORM : 0,
				   .body_crc = number ^ 0x55555555};

	id_of(number, frame.id);
	if (number % 5 == 0)
		frame.unique_id = (pop3_span){
			own, (size_t)snprintf(own, sizeof(own), "own.%u", (unsigned)number)};
	size += drop_frame_encode(&frame, octets + size);
}

static void del(uint32_t number)
{
	struct drop_frame frame = {.kind = DROP_DEL};

	id_of(number, frame.id);
	size += drop_frame_encode(&frame, octets + size);
}

static void feed(struct drop_log *log)
{
	assert_int_equal(drop_log_feed(log,
				       (pop3_span){(const char *)octets + log->size,
						   size - (size_t)log->size},
				       NULL),
			 0);
}

static struct drop_listing *take(struct drop_listings *listings, const struct drop_log *log)
{
	struct drop_listing *listing = drop_listings_take(listings, log);

	assert_non_null(listing);
	return listing;
}

/* All that a front and a keeper read of it, a line a message. The caller frees it. */
static char *text_of(const struct drop_listing *listing)
{
	char *text = malloc((size_t)LINE * (listing->count + 1)), *at = text;
	struct index_view *view;
	struct err err = {0};

	assert_non_null(text);
	if (index_view_create(listing->base_fd, listing->delta_fd, listing->delta_size,
			      listing->count, listing->octets, &view, &err) < 0)
		fail_msg("%s", err.text);
	at += sprintf(at, "%u %llu\n", (unsigned)listing->count,
		      (unsigned long long)listing->octets);
	for (uint32_t n = 1; n <= listing->count; n++) {
		const struct drop_listed *listed = drop_listing_find(listing, n);
		char id[DROP_ID_TEXT];
		struct index_entry entry;

		drop_id_text(listed->id, id);
		assert_int_equal(index_view_read(view, n, true, &entry, 1, &err), 1);
		at += sprintf(at, "%llu %.*s %s %llu %llu %u %x\n",
			      (unsigned long long)entry.octets, (int)entry.unique_id.size,
			      entry.unique_id.data, id, (unsigned long long)listed->octets,
			      (unsigned long long)listed->stored, (unsigned)listed->flags,
			      (unsigned)listed->body_crc);
	}
	index_view_destroy(view);
	return text;
}

/* Of a log that is read from its first octet on, without anything that was kept. */
static char *anew(void)
{
	struct drop_listings listings = {NULL, NULL};
	struct drop_listing *listing;
	struct drop_log log;
	char *text;

	drop_log_init(&log);
	feed(&log);
	listing = take(&listings, &log);
	text = text_of(listing);
	drop_listing_release(listing);
	drop_listings_forget(&listings);
	drop_log_finish(&log);
	return text;
}

static void some_frames(uint32_t *next)
{
	for (uint32_t i = chance(60); i && size < (FRAMES_MAX - 100) * 60 && *next < IDS; i--) {
		switch (chance(8)) {
		case 0:
		case 1:
			del(chance(*next + 1)); /* also twice, or of one that has not come yet */
			break;
		case 2:
			add(chance(*next + 1)); /* twice */
			break;
		default:
			add((*next)++);
			break;
		}
	}
}

struct kept {
	struct drop_listing *listing;
	char *text;
};

static void random_log(void)
{
	struct kept kept[KEPT] = {{NULL, NULL}};
	struct drop_listings listings = {NULL, NULL};
	uint32_t next = 0;
	struct drop_log log;

	size = 0;
	drop_log_init(&log);
	for (unsigned round = 0; round < 120; round++) {
		struct kept *of = &kept[chance(KEPT)];
		char *whole;

		some_frames(&next);
		feed(&log);
		if (chance(40) == 0)
			drop_listings_forget(&listings);
		free(of->text);
		drop_listing_release(of->listing);
		of->listing = take(&listings, &log);
		of->text = text_of(of->listing);
		whole = anew();
		assert_string_equal(of->text, whole);
		free(whole);
	}
	drop_listings_forget(&listings);
	drop_log_finish(&log);
	for (unsigned i = 0; i < KEPT; i++) {
		char *now = kept[i].listing ? text_of(kept[i].listing) : NULL;

		if (now)
			assert_string_equal(now, kept[i].text);
		free(now);
		free(kept[i].text);
		drop_listing_release(kept[i].listing);
	}
}

static void base_and_delta_say_what_all_of_it_says(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= SEEDS; i++) {
		seed = i;
		random_log();
	}
}

static void a_login_after_a_delivery_costs_the_delivery(void **state)
{
	struct drop_listings listings = {NULL, NULL};
	struct drop_listing *before, *same, *behind;
	struct drop_log log;

	(void)state;
	size = 0;
	drop_log_init(&log);
	for (uint32_t i = 0; i < 3000; i++)
		add(i);
	feed(&log);
	before = take(&listings, &log);
	same = take(&listings, &log);
	assert_ptr_equal(before, same); /* nothing was appended */
	add(3000);
	del(17);
	feed(&log);
	behind = take(&listings, &log);
	assert_int_equal(behind->base_fd, before->base_fd);
	assert_true(behind->delta_size < 400);
	assert_int_equal(behind->count, 3000);
	assert_int_equal(drop_listing_find(behind, 17)->stored, 17);
	assert_int_equal(drop_listing_find(behind, 18)->stored, 19);
	assert_int_equal(drop_listing_find(behind, 3000)->stored, 3001);
	assert_int_equal(drop_listing_find(before, 18)->stored, 18);
	drop_listing_release(before);
	drop_listing_release(same);
	drop_listing_release(behind);
	drop_listings_forget(&listings);
	drop_log_finish(&log);
}

/* Else each login would read an ever longer delta. */
static void a_long_delta_becomes_a_base(void **state)
{
	struct drop_listings listings = {NULL, NULL};
	uint64_t longest = 0;
	struct drop_log log;
	unsigned bases = 0;
	void *base = NULL;

	(void)state;
	size = 0;
	drop_log_init(&log);
	for (uint32_t i = 0; i < 4000; i++) {
		struct drop_listing *listing;

		add(i);
		feed(&log);
		listing = take(&listings, &log);
		bases += base != (void *)listing->base;
		base = listing->base;
		if (listing->delta_size > longest)
			longest = listing->delta_size;
		drop_listing_release(listing);
	}
	assert_in_range(bases, 2, 10);
	assert_true(longest < 100 * 1024);
	drop_listings_forget(&listings);
	drop_log_finish(&log);
}

static void nobody_can_change_what_is_shared(void **state)
{
	struct drop_listings listings = {NULL, NULL};
	struct drop_listing *listing;
	struct drop_log log;

	(void)state;
	size = 0;
	drop_log_init(&log);
	add(1);
	feed(&log);
	listing = take(&listings, &log);
	assert_int_equal(pwrite(listing->base_fd, "x", 1, 0), -1);
	assert_int_equal(pwrite(listing->delta_fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(listing->delta_fd, 0), -1);
	assert_true(fcntl(listing->base_fd, F_GET_SEALS) & F_SEAL_SEAL);
	drop_listing_release(listing);
	drop_listings_forget(&listings);
	drop_log_finish(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_and_delta_say_what_all_of_it_says),
		cmocka_unit_test(a_login_after_a_delivery_costs_the_delivery),
		cmocka_unit_test(a_long_delta_becomes_a_base),
		cmocka_unit_test(nobody_can_change_what_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
