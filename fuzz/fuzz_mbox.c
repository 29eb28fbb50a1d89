/*
 * The scanner of mboxes. The messages it finds do not depend on how the file is cut into reads;
 * they lie one behind the other in the file, each behind its "From " line, and are as long as they
 * say. The first octet of the input says how the reads are cut.
 */
#include "maildrop/mbox/from.h"
#include "maildrop/mbox/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	pop3_span file;
	struct mbox_message *messages;
	size_t count;
	uint64_t end; /* of the last one */
};

static void check(const struct found *f, const struct mbox_message *m)
{
	const char *start = f->file.data + m->start;
	uint64_t end = mbox_message_end(m);

	assert(m->start >= f->end && end <= f->file.size);
	assert(mbox_from_line((pop3_span){start, f->file.size - m->start}) == m->from_size);
	assert(m->head <= m->stored);
	/* between two messages there is one empty line, or nothing */
	assert(f->count == 0 || m->start - f->end <= 2);
	assert(m->hides || m->octets >= m->stored);
	assert(m->octets <= 2 * m->stored + 2);
}

static void found(void *context, const struct mbox_message *message)
{
	struct found *f = context;

	check(f, message);
	f->messages = realloc(f->messages, (f->count + 1) * sizeof(*message));
	assert(f->messages);
	f->messages[f->count++] = *message;
	f->end = mbox_message_end(message);
}

static size_t peek(void *context, uint64_t offset, char *buf, size_t n)
{
	const struct found *f = context;

	if (offset >= f->file.size)
		return 0;
	if (n > f->file.size - offset)
		n = (size_t)(f->file.size - offset);
	memcpy(buf, f->file.data + offset, n);
	return n;
}

/* Each read brings so many octets; what was not taken comes again. */
static enum mbox_scan_state scan_in_pieces(struct found *f, size_t piece)
{
	struct mbox_scan_user user = {.context = f, .found = found, .peek = peek};
	struct mbox_scan scan;
	size_t end = 0;

	mbox_scan_init(&scan, &user, 0);
	while (end < f->file.size && scan.state != MBOX_SCAN_NO_MBOX) {
		size_t held, taken;
		char *window;

		end = f->file.size - end < piece ? f->file.size : end + piece;
		held = end - (size_t)scan.at;
		window = malloc(held); /* its own, so that reading beyond it is seen */
		assert(window);
		memcpy(window, f->file.data + scan.at, held);
		taken = mbox_scan_feed(&scan, (pop3_span){window, held}, end == f->file.size);
		free(window);
		assert(taken <= held);
		assert(scan.state == MBOX_SCAN_NO_MBOX || end < f->file.size || taken == held);
	}
	return scan.state;
}

static void same(const struct mbox_message *a, const struct mbox_message *b)
{
	assert(a->start == b->start && a->head == b->head && a->stored == b->stored);
	assert(a->octets == b->octets && a->from_size == b->from_size && a->hides == b->hides);
	assert(a->pseudo == b->pseudo && memcmp(a->digest, b->digest, MBOX_DIGEST) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct found whole = {0}, cut = {0};
	size_t piece;

	if (size < 2)
		return 0;
	piece = data[0] < 128 ? data[0] + 1u : (data[0] - 127u) * 67u;
	whole.file = cut.file = (pop3_span){(const char *)data + 1, size - 1};
	if (scan_in_pieces(&whole, size) == MBOX_SCAN_NO_MBOX)
		assert(whole.count == 0);
	scan_in_pieces(&cut, piece);
	assert(whole.count == cut.count);
	for (size_t i = 0; i < whole.count; i++)
		same(&whole.messages[i], &cut.messages[i]);
	free(whole.messages);
	free(cut.messages);
	return 0;
}
