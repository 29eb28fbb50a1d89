/* See sink.h: delivery ids, and which sink an account has. */
#include "fetch/sink/sink.h"

#include "base/digest.h"
#include "base/text.h"

#include <string.h>
#include <sysexits.h>

void sink_id(pop3_span key, pop3_span identity, char ret[SINK_ID_SIZE])
{
	struct digest digest;

	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, key.data, key.size);
	digest_add(&digest, "\n", 1);
	digest_add(&digest, identity.data, identity.size);
	digest_finish_name(&digest, ret);
}

void sink_message_id(pop3_span key, pop3_span identity, bool partial, char ret[SINK_ID_SIZE])
{
	char text[JOURNAL_IDENTITY_MAX + 2];

	memcpy(text, identity.data, identity.size);
	text[identity.size] = ' '; /* no unique id holds a blank */
	sink_id(key, (pop3_span){text, identity.size + (partial ? 1 : 0)}, ret);
}

int sink_open(const struct sink_settings *settings, struct journal *journal, struct sink **ret,
	      struct err *err)
{
	switch (settings->account->sink) {
	case FETCH_MAILDIR:
		return sink_maildir_open(settings, journal, ret, err);
	case FETCH_MBOX:
		return sink_mbox_open(settings, ret, err);
	case FETCH_COMMAND:
		return sink_command_open(settings, ret, err);
	case FETCH_LMTP:
		return sink_lmtp_open(settings, ret, err);
	}
	return err_set(err, EX_SOFTWARE, "no such sink");
}
