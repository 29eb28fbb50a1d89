/* The hash of a message's headers, for receive.c and rematch.c. Pure; headers are hostile. */
#include "fetch/collect/head.h"

#include "base/text.h"

#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u
#define IN_VALUE UINT8_MAX

void head_hash_init(struct head_hash *head)
{
	*head = (struct head_hash){.stable = FNV_START, .all = FNV_START};
}

static bool is_stable(const struct head_hash *head)
{
	static const char *const names[] = {"from", "to", "date", "subject", "message-id"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase((pop3_span){head->name, head->name_size}, span_of(names[i])))
			return true;
	return false;
}

static void mix(uint64_t *hash, char c)
{
	*hash = (*hash ^ (unsigned char)c) * FNV_PRIME;
}

/* The first octets of a line decide: continuation, blank line, or a field's name up to ":". */
static void name_octet(struct head_hash *head, char c)
{
	if (head->name_size == 0 && (c == ' ' || c == '\t')) {
		head->name_size = IN_VALUE; /* in_stable stays what the field before was */
		return;
	}
	if (c != ':' && head->name_size < sizeof(head->name)) {
		head->name[head->name_size++] = c;
		return;
	}
	head->in_stable = c == ':' && is_stable(head);
	head->any_stable |= head->in_stable;
	for (unsigned i = 0; head->in_stable && i < head->name_size; i++)
		mix(&head->stable, (char)(head->name[i] | 0x20));
	head->name_size = IN_VALUE;
}

void head_hash_feed(struct head_hash *head, pop3_span text)
{
	for (size_t i = 0; i < text.size && !head->done; i++) {
		char c = text.data[i];

		if (c == '\r')
			continue;
		if (c == '\n') {
			head->done = head->name_size == 0;
			if (head->name_size != IN_VALUE)
				head->in_stable = false;
			head->name_size = 0;
			continue;
		}
		mix(&head->all, c);
		if (head->name_size != IN_VALUE)
			name_octet(head, c);
		else if (head->in_stable)
			mix(&head->stable, c);
	}
}

uint64_t head_hash_value(const struct head_hash *head)
{
	return head->any_stable ? head->stable : head->all;
}
