/* See frame.h. */
#include "lookup/system/frame.h"

#include <string.h>

enum {
	EXIT_VERDICT = 0x50, /* and the verdict */
	EXIT_DOWN = 0x80,    /* and the detail */
};

static size_t put_text(const char *text, char *to)
{
	size_t size = strlen(text) + 1;

	memcpy(to, text, size);
	return size;
}

size_t frame_put_question(const struct frame_question *question, char *buf)
{
	size_t at = sizeof(question->head);

	memcpy(buf, &question->head, sizeof(question->head));
	at += put_text(question->user, buf + at);
	at += put_text(question->address, buf + at);
	at += put_text(question->secret, buf + at);
	return at;
}

/* Takes a text of at most size octets with its NUL off the packet's front. */
static int take_text(pop3_span *packet, char *to, size_t size)
{
	const char *end = packet->size ? memchr(packet->data, 0, packet->size) : NULL;
	size_t n;

	if (!end)
		return -1;
	n = (size_t)(end - packet->data) + 1;
	if (n > size)
		return -1;
	memcpy(to, packet->data, n);
	*packet = (pop3_span){packet->data + n, packet->size - n};
	return 0;
}

int frame_take_question(pop3_span packet, struct frame_question *ret)
{
	if (packet.size < sizeof(ret->head))
		return -1;
	memcpy(&ret->head, packet.data, sizeof(ret->head));
	packet = (pop3_span){packet.data + sizeof(ret->head), packet.size - sizeof(ret->head)};
	if (take_text(&packet, ret->user, sizeof(ret->user)) < 0 ||
	    take_text(&packet, ret->address, sizeof(ret->address)) < 0 ||
	    take_text(&packet, ret->secret, sizeof(ret->secret)) < 0)
		return -1;
	return packet.size == 0 && ret->user[0] && ret->secret[0] ? 0 : -1;
}

void frame_put_verdict(const struct frame_verdict *verdict, char *buf)
{
	uint32_t number = verdict->verdict;

	memcpy(buf, &verdict->id, 8);
	memcpy(buf + 8, &number, 4);
	memcpy(buf + 12, &verdict->detail, 4);
}

int frame_take_verdict(pop3_span packet, struct frame_verdict *ret)
{
	uint32_t number, detail;

	if (packet.size != FRAME_VERDICT_SIZE)
		return -1;
	memcpy(&number, packet.data + 8, 4);
	memcpy(&detail, packet.data + 12, 4);
	if (number < VERDICT_RIGHT || number >= VERDICT_END || detail >= DETAIL_END)
		return -1;
	if (number != VERDICT_DOWN && detail != 0)
		return -1;
	memcpy(&ret->id, packet.data, 8);
	ret->verdict = (enum verdict)number;
	ret->detail = detail;
	return 0;
}

int frame_exit_code(enum verdict verdict, uint32_t detail)
{
	return verdict == VERDICT_DOWN ? EXIT_DOWN + (int)detail : EXIT_VERDICT + (int)verdict;
}

void frame_take_exit_code(int code, struct frame_verdict *ret)
{
	ret->verdict = VERDICT_DOWN;
	ret->detail = DETAIL_DIED;
	if (code >= EXIT_DOWN && code <= EXIT_DOWN + DETAIL_QUESTION) {
		ret->detail = (uint32_t)(code - EXIT_DOWN);
	} else if (code >= EXIT_VERDICT + VERDICT_RIGHT && code < EXIT_VERDICT + VERDICT_DOWN) {
		ret->verdict = (enum verdict)(code - EXIT_VERDICT);
		ret->detail = 0;
	}
}
