/*
 * The command sink (an MDA such as maildrop, procmail, dovecot-lda): the message on standard input,
 * exit status 0 means delivered. At least once; VALIJA_DELIVERY_ID is the same when a message
 * comes again.
 */
#include "fetch/sink/command.h"
#include "fetch/sink/refused.h"
#include "fetch/sink/runner.h"
#include "fetch/sink/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

struct command_sink {
	struct sink sink;
	struct spool spool;
	struct runner *runner;
	struct refused *refused;
	uint32_t seconds;
};

static enum sink_result command_begin(struct sink *sink, const char *id, struct err *err)
{
	(void)id;
	return spool_begin(&((struct command_sink *)sink)->spool, err);
}

static enum sink_result command_write(struct sink *sink, pop3_span text, struct err *err)
{
	return spool_write(&((struct command_sink *)sink)->spool, text, err);
}

static void command_drop(struct sink *sink)
{
	spool_drop(&((struct command_sink *)sink)->spool);
}

/* The statuses of sysexits.h by which mail programs refuse a message for good (sendmail's rule). */
static bool is_final(int status)
{
	return status == EX_DATAERR || status == EX_NOUSER || status == EX_NOHOST ||
	       status == EX_UNAVAILABLE || status == EX_NOPERM;
}

static enum sink_result judge(int status, uint32_t seconds, struct err *err)
{
	if (status == 0)
		return SINK_OK;
	if (status == RUNNER_TIMEOUT)
		err_set(err, EX_TEMPFAIL,
			"the command did not end within %u seconds (command-seconds)", seconds);
	else if (status > 128)
		err_set(err, EX_TEMPFAIL, "signal %d ended the command", status - 128);
	else
		err_set(err, EX_TEMPFAIL, "the command ended with status %d", status);
	if (is_final(status))
		return SINK_REFUSED;
	/* 126, 127: the shell could not start it; then no message can be delivered */
	return status == 126 || status == 127 ? SINK_BROKEN : SINK_FAILED;
}

static enum sink_result command_end(struct sink *sink, const struct sink_message *message,
				    struct err *err)
{
	struct command_sink *c = (struct command_sink *)sink;
	enum sink_result result = spool_rewind(&c->spool, err);
	int status;

	if (result != SINK_OK)
		return result;
	status = runner_run(c->runner, c->spool.fd, message->id, err);
	result = status < 0 ? SINK_BROKEN : judge(status, c->seconds, err);
	if (result == SINK_REFUSED)
		result = refused_keep(c->refused, c->spool.fd, message, err);
	spool_drop(&c->spool);
	return result;
}

static enum sink_result command_settle(struct sink *sink, struct err *err)
{
	(void)sink, (void)err;
	return SINK_OK;
}

static void command_destroy(struct sink *sink)
{
	struct command_sink *c = (struct command_sink *)sink;

	spool_finish(&c->spool);
	runner_stop(c->runner);
	refused_close(c->refused);
	free(c);
}

static const struct sink_ops command_ops = {
	.begin = command_begin,
	.write = command_write,
	.end = command_end,
	.drop = command_drop,
	.settle = command_settle,
	.publish = command_settle,
	.destroy = command_destroy,
};

int sink_command_open(const struct sink_settings *settings, struct sink **ret, struct err *err)
{
	struct command_sink *c = calloc(1, sizeof(*c));

	if (!c)
		return err_sys(err, EX_OSERR, errno, "memory");
	c->sink = (struct sink){.ops = &command_ops, .batch = 1, .files = settings->files};
	c->seconds = settings->account->limits.command_seconds;
	if (spool_init(&c->spool, settings, err) < 0 ||
	    refused_open(settings, &c->refused, err) < 0 ||
	    runner_start(settings->account, settings->output_apart, &c->runner, err) < 0) {
		command_destroy(&c->sink);
		return -1;
	}
	*ret = &c->sink;
	return 0;
}
