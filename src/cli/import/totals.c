/* See totals.h. */
#include "cli/import/totals.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

void totals_say(const struct person *person, const char *text)
{
	char shown[4 * 256 + 1];

	text_show(shown, sizeof(shown) - 1, span_of(person->name));
	printf("%s: %s\n", shown, text);
}

void totals_count(struct import_request *request, const struct person *person,
		  const struct adopt_report *report)
{
	struct import_totals *totals = request->totals;
	char text[sizeof(report->why) + 128];

	totals->ours += report->is == ADOPT_OURS;
	totals->plain += report->is == ADOPT_PLAIN;
	totals->users += report->is == ADOPT_FOREIGN;
	totals->messages += report->messages;
	totals->brought += report->brought;
	totals->fresh += report->fresh;
	totals->again += report->again;
	totals->hidden += report->hidden;
	totals->troubled += report->again > 0;
	if (report->again) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " of %" PRIu64 " messages are loaded again: %s", report->again,
			 report->messages, report->why);
		totals_say(person, text);
	}
	if (report->bad) {
		snprintf(text, sizeof(text),
			 "%" PRIu32 " lines of %s make no sense: their messages get new ids",
			 report->bad, mail_origin_names[request->origin.server].list);
		totals_say(person, text);
	}
	if (report->is == ADOPT_OURS && request->named.count)
		totals_say(person, "was here already: its unique ids stay as they are");
}

void totals_count_back(struct import_request *request, const struct person *person,
		       const struct undo_report *report)
{
	struct import_totals *totals = request->totals;
	char text[sizeof(report->why) + 128];

	totals->users += report->is == UNDO_DONE;
	totals->ours += report->is == UNDO_USED;
	totals->plain += report->is == UNDO_NOTHING;
	totals->messages += report->messages;
	totals->brought += report->saved;
	totals->again += report->again;
	totals->troubled += report->again > 0;
	if (report->saved || report->reordered) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " unique ids of %" PRIu64 " messages %s into dovecot-uidlist, "
			 "%" PRIu64 " of them with a new line%s",
			 report->saved, report->messages,
			 request->dry_run ? "would be written" : "were written", report->added,
			 report->reordered ? "; so is their order" : "");
		totals_say(person, text);
	}
	if (report->again) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " of %" PRIu64 " messages are loaded again: %s", report->again,
			 report->messages, report->why);
		totals_say(person, text);
	}
	if (report->is == UNDO_USED)
		totals_say(person, "was used here since: its unique ids stay as they are");
}

/* Of undo. */
static void print_given(const struct import_request *request)
{
	const struct import_totals *totals = request->totals;

	if (totals->messages)
		printf("%" PRIu64 " messages: %" PRIu64 " unique ids %s for Dovecot, %" PRIu64
		       " would be loaded again (by %" PRIu64 " users)\n",
		       totals->messages, totals->brought,
		       request->dry_run ? "would be written" : "were written", totals->again,
		       totals->troubled);
}

void totals_print(const struct import_request *request)
{
	const struct import_totals *totals = request->totals;

	if (request->undo) {
		printf("%" PRIu64 " users %s\n", totals->users,
		       request->dry_run ? "would be taken back" : "were taken back");
		print_given(request);
	} else {
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " keep their unique ids, %" PRIu64 " would be loaded again (by %" PRIu64
		       " users)%s\n",
		       totals->users, totals->messages, totals->brought, totals->again,
		       totals->troubled, request->dry_run ? "; nothing was written" : "");
	}
	if (totals->ours)
		printf("%" PRIu64 " users were here already: their unique ids stay\n",
		       totals->ours);
	if (totals->hidden)
		printf("%" PRIu64 " messages that pop3_deleted_flag hid stay hidden\n",
		       totals->hidden);
	if (totals->fresh && import_of_mboxes(request))
		printf("%" PRIu64 " messages have no unique id of that server in the mailbox: they "
		       "get new ones\n",
		       totals->fresh);
	if (totals->plain + request->people.absent)
		printf("%" PRIu64 " users have no mail of another server\n",
		       totals->plain + request->people.absent);
	if (totals->other)
		printf("%" PRIu64 " users have %s: they were left alone\n", totals->other,
		       import_of_mboxes(request) ? "Maildirs" : "mboxes (valija import mbox)");
	if (totals->failed + request->people.failed)
		printf("%" PRIu64 " users failed\n", totals->failed + request->people.failed);
}
