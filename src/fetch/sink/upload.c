/*
 * The IMAP and the Gmail sink: the message in a spool file, CRLF as received, and from there
 * through valija-upload. At least once: the journal has *sending* before the message goes, and
 * where a run was cut behind that, the destination is asked once: by our delivery id (IMAP), by the
 * Message-ID (Gmail, if the token allows it).
 */
#include "fetch/sink/upload.h"

#include "fetch/account/password.h"
#include "fetch/account/place.h"
#include "fetch/oauth/oauth.h"
#include "fetch/sink/refused.h"
#include "fetch/sink/spool.h"
#include "fetch/sink/uploader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct upload_sink {
	struct sink sink;
	struct spool spool;
	struct uploader *uploader;
	struct refused *refused;
	const struct fetch_account *account;
	struct oauth_helper *helper; /* can renew the token, once; NULL: it is a password */
	struct secret token;         /* else empty: a password is wiped when it is handed on */
};

static enum sink_result upload_begin(struct sink *sink, const char *id, struct err *err)
{
	(void)id;
	return spool_begin(&((struct upload_sink *)sink)->spool, err);
}

static enum sink_result upload_write(struct sink *sink, pop3_span text, struct err *err)
{
	return spool_write(&((struct upload_sink *)sink)->spool, text, err);
}

static void upload_drop(struct sink *sink)
{
	spool_drop(&((struct upload_sink *)sink)->spool);
}

/* A failure of the destination as a whole, in err. */
static enum sink_result trouble(struct upload_sink *u, const struct upload_answer *answer,
				struct err *err)
{
	const char *place = u->account->target;

	u->sink.wait = answer->wait;
	if (answer->result == UPLOAD_LATER) {
		err_set(err, EX_TEMPFAIL, "%.80s: %.240s", place, answer->words);
		return SINK_LATER;
	}
	if (answer->result == UPLOAD_LOGIN)
		err_set(err, FETCH_EX_CONSENT, "%.80s does not accept the token: %.200s", place,
			answer->words);
	else
		err_set(err, answer->code ? answer->code : EX_SOFTWARE, "%.80s: %.240s", place,
			answer->words);
	return SINK_BROKEN;
}

/* One order; with a token that was refused the destination is tried once more with another. */
static enum sink_result order(struct upload_sink *u, enum upload_verb verb, const char *id,
			      struct upload_answer *answer, struct err *err)
{
	uploader_order(u->uploader, verb, id, u->spool.fd, answer);
	if (answer->result != UPLOAD_LOGIN || !u->helper)
		return SINK_OK;
	if (oauth_helper_ask(u->helper, &u->token, err) < 0) {
		err_prefix(err, "the token for %.80s", u->account->target);
		return SINK_BROKEN;
	}
	oauth_helper_stop(u->helper);
	u->helper = NULL;
	uploader_renew(u->uploader, &u->token);
	uploader_order(u->uploader, verb, id, u->spool.fd, answer);
	return SINK_OK;
}

static enum sink_result upload_end(struct sink *sink, const struct sink_message *message,
				   struct err *err)
{
	struct upload_sink *u = (struct upload_sink *)sink;
	enum sink_result result = spool_rewind(&u->spool, err);
	struct upload_answer answer;

	if (result == SINK_OK)
		result = order(u, UPLOAD_SEND, message->id, &answer, err);
	if (result != SINK_OK)
		return result;
	if (answer.result == UPLOAD_REFUSED) {
		err_set(err, EX_UNAVAILABLE, "%s", answer.words);
		result = refused_keep(u->refused, u->spool.fd, message, err);
	} else if (answer.result == UPLOAD_FAILED) {
		err_set(err, EX_TEMPFAIL, "%s", answer.words);
		result = SINK_FAILED;
	} else if (answer.result != UPLOAD_DONE) {
		result = trouble(u, &answer, err);
	}
	spool_drop(&u->spool);
	return result;
}

static enum sink_answer upload_ask(struct sink *sink, const struct sink_message *message,
				   struct err *err)
{
	struct upload_sink *u = (struct upload_sink *)sink;
	struct upload_answer answer;

	if (spool_rewind(&u->spool, err) != SINK_OK ||
	    order(u, UPLOAD_ASK, message->id, &answer, err) != SINK_OK)
		return SINK_NO_ANSWER;
	if (answer.result == UPLOAD_DONE)
		return SINK_THERE;
	if (answer.result == UPLOAD_ABSENT)
		return SINK_ABSENT;
	if (answer.result == UPLOAD_UNKNOWN)
		return SINK_UNKNOWN;
	u->sink.later = trouble(u, &answer, err) == SINK_LATER;
	return SINK_NO_ANSWER;
}

static enum sink_result upload_settle(struct sink *sink, struct err *err)
{
	(void)sink, (void)err;
	return SINK_OK;
}

static void upload_destroy(struct sink *sink)
{
	struct upload_sink *u = (struct upload_sink *)sink;

	uploader_stop(u->uploader);
	oauth_helper_stop(u->helper);
	secret_finish(&u->token);
	refused_close(u->refused);
	spool_finish(&u->spool);
	free(u);
}

static const struct sink_ops upload_ops = {
	.begin = upload_begin,
	.write = upload_write,
	.end = upload_end,
	.ask = upload_ask,
	.drop = upload_drop,
	.settle = upload_settle,
	.publish = upload_settle,
	.destroy = upload_destroy,
};

static void fill_proxy(struct upload_proxy *to, const struct fetch_proxy *from)
{
	static const enum upload_proxy_kind kinds[] = {[FETCH_NO_PROXY] = UPLOAD_DIRECT,
						       [FETCH_SOCKS5] = UPLOAD_SOCKS5,
						       [FETCH_HTTP] = UPLOAD_HTTP};

	to->kind = kinds[from->kind];
	to->port = from->port;
	snprintf(to->host, sizeof(to->host), "%s", from->host);
	snprintf(to->user, sizeof(to->user), "%s", from->user);
	snprintf(to->password, sizeof(to->password), "%s", from->password);
}

static void fill_setup(struct upload_setup *setup, const struct fetch_account *account)
{
	const struct fetch_place *place = &account->place;

	setup->version = UPLOAD_VERSION;
	setup->kind = account->sink == FETCH_GMAIL ? UPLOAD_GMAIL : UPLOAD_IMAP;
	setup->starttls = place->tls == FETCH_TLS_STARTTLS;
	setup->token = fetch_place_token(account);
	setup->never_spam = place->never_spam;
	setup->port = place->port;
	setup->connect_seconds = account->limits.connect_seconds;
	setup->reply_seconds = account->limits.reply_seconds;
	snprintf(setup->user, sizeof(setup->user), "%s", place->user);
	snprintf(setup->host, sizeof(setup->host), "%s", place->host);
	snprintf(setup->folder, sizeof(setup->folder), "%s", place->folder);
	snprintf(setup->flags, sizeof(setup->flags), "%s", place->flags);
	snprintf(setup->labels, sizeof(setup->labels), "%s", account->target);
	snprintf(setup->api, sizeof(setup->api), "%s", place->api);
	snprintf(setup->ca_file, sizeof(setup->ca_file), "%s", place->ca_file);
	memcpy(setup->pins, place->pins, sizeof(setup->pins));
	setup->pin_count = place->pin_count;
	fill_proxy(&setup->proxy, &place->proxy);
}

/* The destination's own secret: a password or a token, by the same ways as an account's. A token is
 * kept here, for the helper wants to see what was refused. */
static int take_secret(struct upload_sink *u, const struct sink_settings *settings,
		       const struct fetch_account *login, struct secret *ret, struct err *err)
{
	int rc;

	if (!fetch_place_token(settings->account)) {
		rc = fetch_password(login, NULL, ret, err);
	} else {
		rc = oauth_token(settings->files, settings->state_dir, login, NULL, ret, err);
		if (rc == 0)
			rc = oauth_helper_start(settings->state_dir, login, &u->helper, err);
		u->token = *ret;
	}
	return rc < 0 ? err_prefix(err, "the destination") : 0;
}

static int start(struct upload_sink *u, const struct sink_settings *settings, struct err *err)
{
	struct fetch_account *login = malloc(sizeof(*login));
	struct upload_setup *setup = calloc(1, sizeof(*setup));
	int rc = -1;

	if (!login || !setup) {
		err_sys(err, EX_OSERR, ENOMEM, "memory");
	} else {
		fill_setup(setup, settings->account);
		fetch_place_account(settings->account, login);
		rc = take_secret(u, settings, login, &setup->secret, err);
		if (rc == 0)
			rc = uploader_start(setup, &u->uploader, err);
		wipe(setup, sizeof(*setup));
	}
	free(setup);
	free(login);
	return rc;
}

int sink_upload_open(const struct sink_settings *settings, struct sink **ret, struct err *err)
{
	struct upload_sink *u = calloc(1, sizeof(*u));

	if (!u)
		return err_sys(err, EX_OSERR, errno, "memory");
	u->sink = (struct sink){.ops = &upload_ops, .batch = 1, .files = settings->files};
	u->account = settings->account;
	secret_init(&u->token);
	if (spool_init(&u->spool, settings, err) < 0 ||
	    refused_open(settings, &u->refused, err) < 0 || start(u, settings, err) < 0) {
		upload_destroy(&u->sink);
		return -1;
	}
	*ret = &u->sink;
	return 0;
}
