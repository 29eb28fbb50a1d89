/*
 * valija import: a site of another server moves here, and no client loads anything twice. The rule
 * by which that server made unique ids is recorded for each mail folder, and the ids are written
 * into each maildrop, or, of an mbox, into its owner's state folder, as its owner. See
 * valija-import(1).
 */
#include "cli/import/import.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/import/dovecot_conf.h"
#include "cli/import/dovecot_rule.h"
#include "cli/import/request.h"
#include "cli/import/settings/settings.h"
#include "maildrop/maildir/bring.h"
#include "maildrop/mbox/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- Dovecot's rule ---- */

static int read_rule(struct import_request *request, struct err *err)
{
	struct dovecot_conf conf;
	int rc;

	if (request->undo || !mail_origin_has_format(request->origin.server))
		return 0;
	rc = dovecot_conf_read(request->dovecot_file, &conf, err);
	if (rc == 0)
		rc = dovecot_rule(&conf, request->from, &request->origin, err);
	dovecot_conf_finish(&conf);
	return rc;
}

/* ---- one maildrop, as its owner ---- */

static void say(const struct person *person, const char *text)
{
	char shown[4 * 256 + 1];

	text_show(shown, sizeof(shown) - 1, span_of(person->name));
	printf("%s: %s\n", shown, text);
}

static void count(struct import_request *request, const struct person *person,
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
	totals->troubled += report->again > 0;
	if (report->again) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " of %" PRIu64 " messages are loaded again: %s", report->again,
			 report->messages, report->why);
		say(person, text);
	}
	if (report->bad) {
		snprintf(text, sizeof(text),
			 "%" PRIu32 " lines of %s make no sense: their messages get new ids",
			 report->bad, mail_origin_names[request->origin.server].list);
		say(person, text);
	}
	if (report->is == ADOPT_OURS && request->name_count)
		say(person, "was here already: its unique ids stay as they are");
}

/* The folder in which the other server keeps its list of this maildrop. */
static int open_control(const struct import_request *request, const struct person *person,
			int folder)
{
	char path[CONFIG_PATH_MAX + 512];
	int n;

	if (!request->from)
		return fcntl(folder, F_DUPFD_CLOEXEC, 0);
	n = snprintf(path, sizeof(path), "%s/%s", request->from, person->home);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum maildrop_status bring_maildir(const struct import_request *request,
					  const struct person *person, int folder,
					  struct adopt_report *report, struct err *err)
{
	int control = open_control(request, person, folder);
	enum maildrop_status status;

	if (control < 0) {
		err_sys(err, EX_NOINPUT, errno, "%s/%s", request->from, person->home);
		return MAILDROP_TEMP;
	}
	status = maildir_bring(folder, control, person->home, &request->origin, request->dry_run,
			       report, err);
	close(control);
	return status;
}

static bool of_mboxes(const struct import_request *request)
{
	return mail_origin_is_of_mboxes(request->origin.server);
}

/* Is the mail in that folder of the kind that the server served? */
static bool is_of_kind(const struct import_request *request, uint32_t root)
{
	return (request->people.maker.roots[root].store == STORE_MBOX) == of_mboxes(request);
}

/* fd: the Maildir; of mboxes, the mail folder. */
static int bring(struct import_request *request, const struct person *person, int fd,
		 struct err *err)
{
	const struct maildrop_settings settings = {.state_fd = request->state};
	struct adopt_report report;
	enum maildrop_status status;

	status = of_mboxes(request) ? mbox_bring(&settings, fd, person->home, &request->origin,
						 request->dry_run, &report, err)
				    : bring_maildir(request, person, fd, &report, err);
	if (status != MAILDROP_OK)
		return -1;
	count(request, person, &report);
	return 0;
}

static enum maildrop_status take_back_mbox(const struct import_request *request,
					   const struct person *person, int fd,
					   struct undo_report *ret, struct err *err)
{
	const struct maildrop_settings settings = {.state_fd = request->state};
	enum maildrop_status status;
	bool any, used;

	status = mbox_take_back(&settings, fd, person->home, request->dry_run, &any, &used, err);
	*ret = (struct undo_report){.is = !any ? UNDO_NOTHING : used ? UNDO_USED : UNDO_DONE};
	return status;
}

static enum maildrop_status take_back_maildir(const struct import_request *request,
					      const struct person *person, int folder,
					      struct undo_report *ret, struct err *err)
{
	int control = open_control(request, person, folder);
	enum maildrop_status status;

	if (control < 0) {
		err_sys(err, EX_NOINPUT, errno, "%s/%s", request->from, person->home);
		return MAILDROP_TEMP;
	}
	status = maildir_take_back(folder, control, person->home, request->origin.server,
				   request->dry_run, ret, err);
	close(control);
	return status;
}

static void count_back(struct import_request *request, const struct person *person,
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
		say(person, text);
	}
	if (report->again) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " of %" PRIu64 " messages are loaded again: %s", report->again,
			 report->messages, report->why);
		say(person, text);
	}
	if (report->is == UNDO_USED)
		say(person, "was used here since: its unique ids stay as they are");
}

static int take_back(struct import_request *request, const struct person *person, int fd,
		     struct err *err)
{
	struct undo_report report;
	enum maildrop_status status =
		of_mboxes(request) ? take_back_mbox(request, person, fd, &report, err)
				   : take_back_maildir(request, person, fd, &report, err);

	if (status != MAILDROP_OK)
		return -1;
	count_back(request, person, &report);
	return 0;
}

/* Of mboxes: a copy of the mail folder's descriptor. */
static int open_mail(const struct import_request *request, const struct person *person,
		     struct err *err)
{
	int root = request->people.maker.roots[person->root].fd, fd;

	if (!of_mboxes(request))
		return maildrop_folder(root, person->home, err);
	fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? err_sys(err, EX_OSERR, errno, "%s", person->home) : fd;
}

static void work_on(struct import_request *request, const struct person *person)
{
	struct err err = {0};
	int fd, rc = -1;

	if (!is_of_kind(request, person->root)) {
		request->totals->other++;
		return;
	}
	fd = open_mail(request, person, &err);
	if (fd < 0 && err.errnum == ENOENT) {
		request->totals->plain++;
		return;
	}
	if (fd >= 0) {
		rc = request->undo ? take_back(request, person, fd, &err)
				   : bring(request, person, fd, &err);
		close(fd);
	}
	if (rc < 0) {
		request->totals->failed++;
		say(person, err.text);
	}
}

static int work_on_owner(void *context, struct err *err)
{
	struct import_request *request = context;

	(void)err;
	for (size_t i = request->first; i < request->end; i++)
		work_on(request, &request->people.persons[i]);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* ---- all of them ---- */

/* Opened by the caller of the command: the owner may not be able to reach it. */
static int open_state(const struct import_request *request, const struct person *person)
{
	const struct maker_root *root = &request->people.maker.roots[person->root];
	uid_t uid = geteuid() == 0 ? person->uid : geteuid();
	bool makes = !request->dry_run && !request->undo;
	struct err err = {0};
	int fd;

	if (!of_mboxes(request) || root->store != STORE_MBOX)
		return 0;
	fd = mail_root_owner_state(&root->root, uid, person->gid, makes, &err);
	if (fd >= 0)
		return fd;
	return !makes && err.errnum == ENOENT ? MAILDROP_NO_STATE_YET : 0;
}

static bool same_owner(const struct person *x, const struct person *y)
{
	return x->uid == y->uid && x->gid == y->gid && x->root == y->root;
}

static int work_on_all(struct import_request *request, struct err *err)
{
	const struct person *persons = request->people.persons;
	int code = EX_OK, one;

	for (request->first = 0; request->first < request->people.count;
	     request->first = request->end) {
		const struct person *first = &persons[request->first];

		request->end = request->first + 1;
		while (request->end < request->people.count &&
		       same_owner(&persons[request->end], first))
			request->end++;
		fflush(stdout);
		request->state = open_state(request, first);
		one = maker_as_owner(first->uid, first->gid, work_on_owner, request, err);
		if (request->state > 0)
			close(request->state);
		if (one < 0)
			return -1;
		code = code == EX_OK ? one : code;
	}
	return code;
}

/* Of each mail folder, for the maildrops that are opened later. */
static int record(struct import_request *request, struct err *err)
{
	char is[ORIGIN_TEXT_MAX], was[ORIGIN_TEXT_MAX];

	mail_origin_print(&request->origin, is);
	for (uint32_t i = 0; i < request->config.root_count; i++) {
		int fd = request->people.maker.roots[i].fd;
		struct mail_origin before;
		int known;

		if (!is_of_kind(request, i))
			continue;
		known = mail_origin_read(&maildrop_kernel, fd, &before, err);
		if (known < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
		if (known)
			mail_origin_print(&before, was);
		if (known && strcmp(is, was) != 0)
			return err_set(
				err, EX_CONFIG,
				"%s has another origin of ids already (%.100s; now: %.100s): "
				"take that back first (--undo)",
				request->config.roots[i].path, was, is);
		if (!known && !request->dry_run && mail_origin_write(fd, &request->origin, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	}
	printf("origin of unique ids: %s\n", is);
	return 0;
}

static int forget(struct import_request *request, struct err *err)
{
	for (uint32_t i = 0; !request->dry_run && i < request->config.root_count; i++)
		if (is_of_kind(request, i) &&
		    mail_origin_remove(request->people.maker.roots[i].fd, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	return 0;
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

static void print_totals(const struct import_request *request)
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
	if (totals->fresh && of_mboxes(request))
		printf("%" PRIu64 " messages have no unique id of that server in the mailbox: they "
		       "get new ones\n",
		       totals->fresh);
	if (totals->plain + request->people.absent)
		printf("%" PRIu64 " users have no mail of another server\n",
		       totals->plain + request->people.absent);
	if (totals->other)
		printf("%" PRIu64 " users have %s: they were left alone\n", totals->other,
		       of_mboxes(request) ? "Maildirs" : "mboxes (valija import mbox)");
	if (totals->failed + request->people.failed)
		printf("%" PRIu64 " users failed\n", totals->failed + request->people.failed);
}

/* -1 with err: no mail folder is of the kind that the server served. */
static int check_kind(const struct import_request *request, struct err *err)
{
	for (uint32_t i = 0; i < request->config.root_count; i++)
		if (is_of_kind(request, i))
			return 0;
	if (of_mboxes(request))
		return err_set(err, EX_CONFIG,
			       "the mail folder has Maildirs: if it has mboxes, write that down "
			       "first (valija mark --store mbox %s)",
			       request->config.roots[0].path);
	return err_set(
		err, EX_CONFIG,
		"the mail folder has mboxes: run valija import mbox --ids SERVER, or nothing "
		"to give new ids");
}

/* Dovecot's settings are brought where there is no configuration yet; its users and their mail
 * cannot be found without one. */
static bool wants_settings(const struct import_request *request)
{
	return request->origin.server == ORIGIN_DOVECOT && request->dovecot_file &&
	       !request->undo && !request->from && !request->name_count &&
	       access(command_config(request->config_file), F_OK) < 0 && errno == ENOENT;
}

static int run(struct import_request *request, struct err *err)
{
	int code;

	if (wants_settings(request))
		return settings_bring(request->dovecot_file, command_config(request->config_file),
				      request->dry_run, err);

	request->totals = mmap(NULL, sizeof(*request->totals), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (request->totals == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "out of memory");
	if (config_load(command_config(request->config_file), &request->config, err) < 0 ||
	    read_rule(request, err) < 0 ||
	    people_find(&request->people, &request->config, request->names, request->name_count,
			err) < 0 ||
	    check_kind(request, err) < 0)
		return -1;
	/* the rule is for all who come later, so it is not that of a few users */
	if (!request->name_count &&
	    (request->undo ? forget(request, err) : record(request, err)) < 0)
		return -1;
	if (request->dovecot_file && !request->undo)
		printf("%s is there, and stays as it is: of Dovecot's settings those about unique "
		       "ids are taken; -c NEW writes the others\n",
		       command_config(request->config_file));
	code = work_on_all(request, err);
	if (code < 0)
		return -1;
	print_totals(request);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return code == EX_OK && request->totals->failed + request->people.failed ? EX_TEMPFAIL
										 : code;
}

int import_main(int argc, char **argv)
{
	struct import_request *request = calloc(1, sizeof(*request));
	struct err err = {0};
	int rc;

	if (!request)
		return EX_OSERR;
	rc = import_request_parse(argc, argv, request);
	if (rc != 0) {
		rc = rc < 0 ? import_usage(stderr, EX_USAGE) : import_usage(stdout, EX_OK);
	} else {
		rc = run(request, &err);
		people_finish(&request->people);
	}
	import_request_finish(request);
	free(request);
	return rc < 0 ? command_failed("import", &err) : rc;
}
