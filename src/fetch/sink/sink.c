/* Opens the sink that an account names; for run.c, which owns it, before the process confines
 * itself. */
#include "fetch/sink/sink.h"

#include "fetch/sink/command.h"
#include "fetch/sink/lmtp.h"
#include "fetch/sink/maildir.h"
#include "fetch/sink/mbox.h"
#include "fetch/sink/upload.h"

#include <sysexits.h>

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
	case FETCH_IMAP:
	case FETCH_GMAIL:
		return sink_upload_open(settings, ret, err);
	}
	return err_set(err, EX_SOFTWARE, "no such sink");
}
