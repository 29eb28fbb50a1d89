/* See notes.h. */
#include "maildrop/mbox/adopt/notes.h"

#include "base/text.h"
#include "maildrop/mbox/from.h"

#include <stdio.h>
#include <string.h>

/* A digest of some headers, as a server makes it. */
struct summary {
	struct digest digest;
	bool received; /* that header was there */
};

struct reading {
	struct mbox_notes *ret;
	bool first;
	struct summary dovecot, popa3d;
};

/* A header: all of its lines, with their ends. */
struct header {
	pop3_span lines;
	pop3_span value; /* behind the colon */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes the first line off the front of text, with its end. */
static pop3_span take_line(pop3_span *text)
{
	const char *end = memchr(text->data, '\n', text->size);
	pop3_span line = {text->data, end ? (size_t)(end - text->data) + 1 : text->size};

	text->data += line.size;
	text->size -= line.size;
	return line;
}

/* Takes a header with its continuation lines. False: the headers end here. */
static bool take_header(pop3_span *text, struct header *ret)
{
	pop3_span line;
	const char *colon;

	if (text->size == 0 || mbox_empty_line(*text))
		return false;
	line = take_line(text);
	colon = memchr(line.data, ':', line.size);
	ret->lines = line;
	while (text->size && is_space(*text->data))
		ret->lines.size += take_line(text).size;
	ret->value =
		colon ? (pop3_span){colon + 1, ret->lines.size - 1 - (size_t)(colon - line.data)}
		      : (pop3_span){0};
	return true;
}

/* Names as popa3d knows them, which has no blanks before the colon. */
static bool begins_with(const struct header *header, const char *name)
{
	size_t size = strlen(name);

	return header->value.data && header->value.data == header->lines.data + size + 1 &&
	       span_equal_nocase((pop3_span){header->lines.data, size}, (pop3_span){name, size});
}

static bool has_name(const struct header *header, const char *name)
{
	const char *end = header->value.data ? header->value.data - 1 : NULL;

	while (end && end > header->lines.data && is_space(end[-1]))
		end--;
	return end && span_equal_nocase(
			      (pop3_span){header->lines.data, (size_t)(end - header->lines.data)},
			      span_of(name));
}

static pop3_span trim(pop3_span text)
{
	while (text.size && (is_space(*text.data) || *text.data == '\r' || *text.data == '\n')) {
		text.data++;
		text.size--;
	}
	while (text.size && text.data[text.size - 1] && strchr(" \t\r\n", text.data[text.size - 1]))
		text.size--;
	return text;
}

/* ---- Dovecot's numbers ---- */

/* A number at the front of text. -1: there is none, or it has more than 32 bits. */
static int take_number(pop3_span *text, uint32_t *ret)
{
	size_t digits = 0;
	uint64_t number;

	while (digits < text->size && text->data[digits] >= '0' && text->data[digits] <= '9')
		digits++;
	if (span_number((pop3_span){text->data, digits}, UINT32_MAX, &number) < 0)
		return -1;
	text->data += digits;
	text->size -= digits;
	*ret = (uint32_t)number;
	return 0;
}

/* "UIDVALIDITY LAST-UID KEYWORD...", perhaps with more blanks: GNU Mailutils pads both. */
static void take_base(struct reading *r, pop3_span value)
{
	uint32_t uidvalidity, last;
	pop3_span rest = trim(value);
	size_t before;

	if (!r->first || r->ret->uidvalidity || take_number(&rest, &uidvalidity) < 0)
		return;
	before = rest.size;
	rest = trim(rest);
	if (rest.size == before || take_number(&rest, &last) < 0 ||
	    (rest.size && !is_space(*rest.data) && *rest.data != '\r' && *rest.data != '\n'))
		return;
	r->ret->uidvalidity = uidvalidity;
	r->ret->last_uid = uidvalidity ? last : 0;
}

/* The first one that makes sense; in the first message behind X-IMAPbase, as Dovecot has it. */
static void take_uid(struct reading *r, pop3_span value)
{
	pop3_span rest = trim(value);
	uint32_t uid;

	if (r->ret->uid || (r->first && !r->ret->uidvalidity) || take_number(&rest, &uid) < 0 ||
	    rest.size)
		return;
	r->ret->uid = uid;
}

/* ---- digests ---- */

/* Dovecot takes the value without one blank in front, its lines without their ends. */
static void add_value(struct digest *digest, pop3_span value)
{
	if (value.size && is_space(*value.data)) {
		value.data++;
		value.size--;
	}
	while (value.size) {
		pop3_span line = take_line(&value);

		if (line.data[line.size - 1] == '\n')
			line.size--;
		if (line.size && line.data[line.size - 1] == '\r')
			line.size--;
		digest_add(digest, line.data, line.size);
	}
}

/* Does the header count for the digest? A date and a Message-ID, which the sender wrote, only until
 * there is a Received. */
static bool counts(struct summary *summary, const struct header *header,
		   bool (*is)(const struct header *header, const char *name))
{
	bool before = summary->received, received = is(header, "Received");

	summary->received = before || received;
	return is(header, "Delivered-To") || is(header, "X-Delivery-ID") ||
	       (!before && (received || is(header, "Date") || is(header, "Message-ID")));
}

static void add_to_digests(struct reading *r, const struct header *header)
{
	if (counts(&r->dovecot, header, has_name))
		add_value(&r->dovecot.digest, header->value);
	if (counts(&r->popa3d, header, begins_with))
		digest_add(&r->popa3d.digest, header->lines.data, header->lines.size);
}

/* popa3d shows the first two words of the digest's state. */
static void popa3d_id(struct digest *digest, char ret[MBOX_POPA3D_ID])
{
	unsigned char md5[DIGEST_MAX];

	digest_finish(digest, md5);
	snprintf(ret, MBOX_POPA3D_ID, "%02x%02x%02x%02x%02x%02x%02x%02x", md5[3], md5[2], md5[1],
		 md5[0], md5[7], md5[6], md5[5], md5[4]);
}

void mbox_notes_read(pop3_span head, bool first, struct mbox_notes *ret)
{
	struct reading r = {.ret = ret, .first = first};
	struct header header;

	memset(ret, 0, sizeof(*ret));
	digest_init(&r.dovecot.digest, DIGEST_MD5);
	digest_init(&r.popa3d.digest, DIGEST_MD5);
	while (take_header(&head, &header)) {
		if (has_name(&header, "X-IMAPbase") || has_name(&header, "X-IMAP"))
			take_base(&r, header.value);
		else if (has_name(&header, "X-UID"))
			take_uid(&r, header.value);
		else if (has_name(&header, "X-UIDL") && !ret->xuidl.data)
			ret->xuidl = trim(header.value);
		else
			add_to_digests(&r, &header);
	}
	digest_finish_name(&r.dovecot.digest, ret->dovecot_md5);
	popa3d_id(&r.popa3d.digest, ret->popa3d_id);
}
