/*
 * Packets between a lookup process and its PAM server. The first octet chooses: a question, as the
 * server's child reads it, or a verdict, as the lookup process does. What is taken is written back
 * as it was.
 */
#include "lookup/system/frame.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_question(pop3_span packet)
{
	char buf[FRAME_QUESTION_MAX];
	struct frame_question question;

	if (frame_take_question(packet, &question) < 0)
		return;
	assert(question.user[0] && memchr(question.user, 0, sizeof(question.user)));
	assert(memchr(question.address, 0, sizeof(question.address)));
	assert(question.secret[0] && memchr(question.secret, 0, sizeof(question.secret)));
	assert(packet.size <= sizeof(buf) && frame_put_question(&question, buf) == packet.size);
	assert(memcmp(buf, packet.data, packet.size) == 0);
}

static void try_verdict(pop3_span packet)
{
	char buf[FRAME_VERDICT_SIZE];
	struct frame_verdict verdict;

	if (frame_take_verdict(packet, &verdict) < 0)
		return;
	assert(packet.size == sizeof(buf) && verdict.detail < DETAIL_END);
	assert(verdict.verdict == VERDICT_DOWN || verdict.detail == 0);
	frame_put_verdict(&verdict, buf);
	assert(memcmp(buf, packet.data, sizeof(buf)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		try_question((pop3_span){(const char *)data + 1, size - 1});
	else
		try_verdict((pop3_span){(const char *)data + 1, size - 1});
	return 0;
}
