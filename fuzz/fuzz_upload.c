/*
 * Readers of valija-upload: the first octet chooses the reader, the others are what came: replies
 * of an IMAP server, a message's headers, answers of Gmail, a folder's name. Checked: results are
 * bounded, and the same however replies are split.
 */
#include "base/text.h"
#include "fetch/upload/folder.h"
#include "fetch/upload/head.h"
#include "fetch/upload/reply.h"
#include "fetch/upload/verdict.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(pop3_span part, pop3_span whole)
{
	return part.size == 0 ||
	       (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void judge(pop3_span line)
{
	struct reply reply;
	pop3_span value = {line.data, 0};

	reply_parse(line, "V1", &reply);
	assert(within(reply.code, line) && within(reply.text, line));
	reply_code_is(&reply, "TRYCREATE");
	reply_has_word(reply.text, "APPENDLIMIT", &value);
	assert(within(value, line));
}

/* A sum over all lines; piece: so many octets at once. */
static uint64_t replies(pop3_span in, size_t piece)
{
	struct reply_reader *reader = calloc(1, sizeof(*reader));
	uint64_t sum = 0;
	bool bad = false;

	assert(reader);
	while (in.size && !bad) {
		pop3_span part = {in.data, in.size < piece ? in.size : piece}, line;
		enum reply_take took;

		in.data += part.size;
		in.size -= part.size;
		while ((took = reply_take(reader, &part, &line)) == REPLY_LINE) {
			assert(line.size <= REPLY_LINE_MAX);
			for (size_t i = 0; i < line.size; i++)
				sum = sum * 31 + (unsigned char)line.data[i];
			sum = sum * 31 + 257;
			judge(line);
		}
		bad = took == REPLY_BAD;
	}
	free(reader);
	return sum * 2 + bad;
}

static void headers(pop3_span in)
{
	char text[HEAD_FIELD_MAX + 1], when[40];
	int64_t date = head_date(in, INT64_MAX);

	assert(date >= 0);
	head_imap_date(date, when);
	if (head_message_id(in, text))
		assert(!strpbrk(text, "<> \r\n\"") && text[0]);
	assert(head_field(in, "Subject", text) <= HEAD_FIELD_MAX);
}

static void gmail(pop3_span in)
{
	static const long statuses[] = {200, 400, 401, 403, 413, 429, 500};
	struct upload_answer answer;
	char id[LABEL_ID_MAX];

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		answer = (struct upload_answer){0};
		verdict_import(statuses[i], in, 0, &answer);
		assert(strlen(answer.words) < UPLOAD_WORDS_MAX);
		for (const char *c = answer.words; *c; c++)
			assert(*c >= 0x20 && *c < 0x7f);
		verdict_list(statuses[i], in, 0, &answer);
	}
	if (verdict_label(in, "a", id) == 0)
		assert(id[0] && strlen(id) < sizeof(id));
	verdict_label_made(in, id);
}

static void folder(pop3_span in)
{
	char wire[FOLDER_WIRE_MAX];

	if (folder_wire(in, wire) < 0)
		return;
	assert(wire[0] == '"' && wire[strlen(wire) - 1] == '"');
	for (const char *c = wire; *c; c++)
		assert(*c >= 0x20 && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 'r':
		assert(replies(in, in.size + 1) == replies(in, 1));
		break;
	case 'h':
		headers(in);
		break;
	case 'g':
		gmail(in);
		break;
	case 'f':
		folder(in);
		break;
	}
	return 0;
}
