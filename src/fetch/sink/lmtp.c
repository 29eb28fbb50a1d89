/*
 * The LMTP sink (RFC 2033): to HOST:PORT or a Unix socket, one recipient, empty return path. The
 * connection is made for the first message and kept. X-Valija-Delivery-Id is put in front, the same
 * when a message comes again: delivery is at least once. The server is somewhat trusted (it is the
 * user's own), but bounded: lines, and seconds for each answer.
 */
#include "fetch/sink/lmtp.h"
#include "fetch/sink/lmtp_client.h"
#include "fetch/sink/refused.h"
#include "fetch/sink/spool.h"

#include "base/text.h"

#include <pop3/message.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct lmtp_sink {
	struct sink sink;
	struct spool spool;
	struct lmtp_client client;
	struct refused *refused;
	const struct fetch_account *account;
};

static enum sink_result lmtp_begin(struct sink *sink, const char *id, struct err *err)
{
	(void)id;
	return spool_begin(&((struct lmtp_sink *)sink)->spool, err);
}

static enum sink_result lmtp_write(struct sink *sink, pop3_span text, struct err *err)
{
	return spool_write(&((struct lmtp_sink *)sink)->spool, text, err);
}

static void lmtp_drop(struct sink *sink)
{
	spool_drop(&((struct lmtp_sink *)sink)->spool);
}

/* Stored form to wire form: CRLF, dots stuffed, CRLF.CRLF; the same encoding as POP3's. */
static int send_body(struct lmtp_sink *l, struct err *err)
{
	struct pop3_encoder encoder;
	char in[8192], out[16384];
	size_t size;
	ssize_t n;

	pop3_encoder_init(&encoder, POP3_ALL_LINES);
	while ((n = read(l->spool.fd, in, sizeof(in))) > 0) {
		pop3_span rest = {in, (size_t)n};

		while (rest.size) {
			size = pop3_encoder_run(&encoder, &rest, out, sizeof(out));
			if (lmtp_client_send(&l->client, (pop3_span){out, size}, err) < 0)
				return -1;
		}
	}
	if (n < 0)
		return err_sys(err, EX_IOERR, errno, "cannot read the message back");
	size = pop3_encoder_finish(&encoder, out, sizeof(out));
	return lmtp_client_send(&l->client, (pop3_span){out, size}, err);
}

static enum sink_result deliver(struct lmtp_sink *l, const struct sink_message *message,
				struct err *err)
{
	char head[80];
	int code, n;

	if (lmtp_client_open(&l->client, l->account->target, err) < 0)
		return SINK_BROKEN;
	code = lmtp_client_begin(&l->client, l->account->recipient, err);
	if (code != 354) {
		if (code < 0)
			return SINK_BROKEN;
		if (code / 100 == 4) /* nor will the next */
			return SINK_LATER;
		return SINK_FAILED; /* the recipient, perhaps: it is no verdict on the message */
	}
	n = snprintf(head, sizeof(head), "X-Valija-Delivery-Id: %s\r\n", message->id);
	if (lmtp_client_send(&l->client, (pop3_span){head, (size_t)n}, err) < 0 ||
	    send_body(l, err) < 0)
		return SINK_BROKEN;
	code = lmtp_client_reply(&l->client, err);
	if (code < 0)
		return SINK_BROKEN;
	if (code / 100 == 2)
		return SINK_OK;
	lmtp_client_refused(&l->client, code, err);
	return code / 100 == 5 && !lmtp_client_full(&l->client) ? SINK_REFUSED : SINK_FAILED;
}

static enum sink_result lmtp_end(struct sink *sink, const struct sink_message *message,
				 struct err *err)
{
	struct lmtp_sink *l = (struct lmtp_sink *)sink;
	enum sink_result result = spool_rewind(&l->spool, err);

	if (result == SINK_OK)
		result = deliver(l, message, err);
	if (result == SINK_REFUSED)
		result = refused_keep(l->refused, l->spool.fd, message, err);
	if (result == SINK_BROKEN || result == SINK_LATER)
		err_prefix(err, "LMTP server %s", l->account->target);
	spool_drop(&l->spool);
	return result;
}

static enum sink_result lmtp_settle(struct sink *sink, struct err *err)
{
	(void)sink, (void)err;
	return SINK_OK;
}

static void lmtp_destroy(struct sink *sink)
{
	struct lmtp_sink *l = (struct lmtp_sink *)sink;

	lmtp_client_close(&l->client);
	spool_finish(&l->spool);
	refused_close(l->refused);
	free(l);
}

static const struct sink_ops lmtp_ops = {
	.begin = lmtp_begin,
	.write = lmtp_write,
	.end = lmtp_end,
	.drop = lmtp_drop,
	.settle = lmtp_settle,
	.publish = lmtp_settle,
	.destroy = lmtp_destroy,
};

int sink_lmtp_open(const struct sink_settings *settings, struct sink **ret, struct err *err)
{
	struct lmtp_sink *l = calloc(1, sizeof(*l));

	if (!l)
		return err_sys(err, EX_OSERR, errno, "memory");
	l->sink = (struct sink){.ops = &lmtp_ops, .batch = 1, .files = settings->files};
	l->account = settings->account;
	lmtp_client_init(&l->client);
	if (spool_init(&l->spool, settings, err) < 0 ||
	    refused_open(settings, &l->refused, err) < 0) {
		lmtp_destroy(&l->sink);
		return -1;
	}
	*ret = &l->sink;
	return 0;
}
